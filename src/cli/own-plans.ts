import {lstat, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type Digest, hexOf} from '../model/digest.ts';
import {forgetOldest, isOwn, privateDirectory} from '../places/own-directory.ts';
import {stateDirectory, type UserEnvironment} from './user-directories.ts';

/** The maximum number of remembered plans; the oldest ones are forgotten. */
const MOST = 1000;

/** The name of the file of a plan. */
const FILE_NAME = /^[0-9a-f]{64,128}$/;

/**
 * Remembers the id of a plan that was made on this machine, as an empty file in the state directory. If that is not
 * writable, the plan counts as one from another machine, whose hosts and directories have to be named again.
 */
export async function rememberPlan(id: Digest, io: UserEnvironment): Promise<void> {
  const directory = directoryOf(io);
  try {
    await privateDirectory(stateDirectory(io.env, io.home), io.uid);
    await privateDirectory(directory, io.uid);
    await writeFile(join(directory, hexOf(id)), '', {flag: 'a', mode: 0o600});
    await utimes(join(directory, hexOf(id)), new Date(), new Date());
    await forgetOldest(directory, MOST, FILE_NAME, io.uid);
  } catch {
    // See above.
  }
}

/**
 * Whether the plan was made here, by this user. Where somebody else could have said so, it counts as from elsewhere.
 */
export async function isOwnPlan(id: Digest, io: UserEnvironment): Promise<boolean> {
  try {
    const directory = await lstat(directoryOf(io));
    const file = await lstat(join(directoryOf(io), hexOf(id)));
    const isPrivate =
      directory.isDirectory() && (io.uid === undefined || (directory.mode & 0o022) === 0);
    return isPrivate && file.isFile() && isOwn(directory, io.uid) && isOwn(file, io.uid);
  } catch {
    return false;
  }
}

function directoryOf({env, home}: UserEnvironment): string {
  return join(stateDirectory(env, home), 'plans');
}
