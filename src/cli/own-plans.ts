import {stat, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type Digest, hexOf} from '../model/digest.ts';
import {forgetOldest} from '../places/durable-file.ts';
import type {Io} from './io.ts';
import {privateFolder, stateFolder} from './user-folders.ts';

/** Plans that are remembered; those that were made longest ago are forgotten. */
const MOST = 1000;

type Machine = Pick<Io, 'env' | 'home'>;

/**
 * Remembers that a plan was made here, by its id: an empty file in the state folder. Where that cannot be written, the
 * plan counts as one from elsewhere, whose hosts and folders have to be named once more.
 */
export async function rememberPlan(id: Digest, io: Machine): Promise<void> {
  const folder = folderOf(io);
  try {
    await privateFolder(stateFolder(io.env, io.home));
    await privateFolder(folder);
    await writeFile(join(folder, hexOf(id)), '', {flag: 'a', mode: 0o600});
    await utimes(join(folder, hexOf(id)), new Date(), new Date());
    await forgetOldest(folder, MOST);
  } catch {
    // See above.
  }
}

/** Whether the plan was made here, by this user. */
export async function isOwnPlan(id: Digest, io: Machine): Promise<boolean> {
  try {
    return (await stat(join(folderOf(io), hexOf(id)))).isFile();
  } catch {
    return false;
  }
}

function folderOf({env, home}: Machine): string {
  return join(stateFolder(env, home), 'plans');
}
