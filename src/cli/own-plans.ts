import {lstat, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type Digest, hexOf} from '../model/digest.ts';
import {forgetOldest, isOwn, privateFolder} from '../places/own-folder.ts';
import type {Io} from './io.ts';
import {stateFolder} from './user-folders.ts';

/** Plans that are remembered; those that were made longest ago are forgotten. */
const MOST = 1000;

/** The name of the file of a plan. */
const FILE_NAME = /^[0-9a-f]{64,128}$/;

type Machine = Pick<Io, 'env' | 'home' | 'uid'>;

/**
 * Remembers that a plan was made here, by its id: an empty file in the state folder. Where that cannot be written, the
 * plan counts as one from elsewhere, whose hosts and folders have to be named once more.
 */
export async function rememberPlan(id: Digest, io: Machine): Promise<void> {
  const folder = folderOf(io);
  try {
    await privateFolder(stateFolder(io.env, io.home), io.uid);
    await privateFolder(folder, io.uid);
    await writeFile(join(folder, hexOf(id)), '', {flag: 'a', mode: 0o600});
    await utimes(join(folder, hexOf(id)), new Date(), new Date());
    await forgetOldest(folder, MOST, FILE_NAME);
  } catch {
    // See above.
  }
}

/** Whether the plan was made here, by this user. Where somebody else could have said so, it counts as from elsewhere. */
export async function isOwnPlan(id: Digest, io: Machine): Promise<boolean> {
  try {
    const folder = await lstat(folderOf(io));
    const file = await lstat(join(folderOf(io), hexOf(id)));
    const isPrivate = folder.isDirectory() && (io.uid === undefined || (folder.mode & 0o022) === 0);
    return isPrivate && file.isFile() && isOwn(folder, io.uid) && isOwn(file, io.uid);
  } catch {
    return false;
  }
}

function folderOf({env, home}: Machine): string {
  return join(stateFolder(env, home), 'plans');
}
