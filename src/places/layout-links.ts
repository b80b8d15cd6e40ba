import {realpath} from 'node:fs/promises';
import {dirname, join, resolve, sep} from 'node:path';
import {type Side, TransshipError} from '../model/error.ts';
import {isMissing, unreadable} from './file-error.ts';

/**
 * Makes sure that a file or folder of a layout, or the nearest folder above that is there, is within the layout: a layout
 * from somebody else may hold links to files of this machine, which would be sent to a registry, or to folders, which
 * would be written into. Links from one place of the layout to another are fine, and so is one to the layout itself.
 * @param layout the directory of the layout
 * @throws TransshipError FILE_INVALID, FILE_UNREADABLE
 */
export async function refuseWayOut(layout: string, path: string, side: Side): Promise<void> {
  const root = await target(layout);
  if (root === undefined) return;
  let found = await target(path);
  for (let above = resolve(path); found === undefined && above !== resolve(layout); ) {
    above = dirname(above);
    found = await target(above);
  }
  if (found === undefined || found === root || found.startsWith(join(root, sep))) return;
  throw new TransshipError('FILE_INVALID', `${path} is a link that leads out of the layout`, {
    side,
    hint: 'put the file itself in its place, or get the layout anew from where you trust it',
  });
}

/** Without links; undefined: not there. */
async function target(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw unreadable(path, error);
  }
}
