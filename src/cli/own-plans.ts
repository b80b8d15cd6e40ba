import {stat, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type Digest, hexOf} from '../model/digest.ts';
import {forgetOldest} from '../places/durable-file.ts';
import type {Io} from './io.ts';
import {privateDirectory, stateDirectory} from './user-directories.ts';

/** Plans that are remembered; those that were made longest ago are forgotten. */
const MOST = 1000;

type Machine = Pick<Io, 'env' | 'home'>;

/**
 * Remembers that a plan was made here, by its id: an empty file in the state directory. Where that cannot be written,
 * the plan counts as one from elsewhere, whose hosts and directories have to be named once more.
 */
export async function rememberPlan(id: Digest, io: Machine): Promise<void> {
  const directory = directoryOf(io);
  try {
    await privateDirectory(stateDirectory(io.env, io.home));
    await privateDirectory(directory);
    await writeFile(join(directory, hexOf(id)), '', {flag: 'a', mode: 0o600});
    await utimes(join(directory, hexOf(id)), new Date(), new Date());
    await forgetOldest(directory, MOST);
  } catch {
    // See above.
  }
}

/** Whether the plan was made here, by this user. */
export async function isOwnPlan(id: Digest, io: Machine): Promise<boolean> {
  try {
    return (await stat(join(directoryOf(io), hexOf(id)))).isFile();
  } catch {
    return false;
  }
}

function directoryOf({env, home}: Machine): string {
  return join(stateDirectory(env, home), 'plans');
}
