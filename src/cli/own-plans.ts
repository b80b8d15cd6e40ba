import {stat, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type Digest, hexOf} from '../model/digest.ts';
import {forgetOldest} from '../places/durable-file.ts';
import {privateDirectory, stateDirectory, type UserEnvironment} from './user-directories.ts';

/** The maximum number of remembered plans; the oldest ones are forgotten. */
const MOST = 1000;

/**
 * Remembers the id of a plan that was made on this machine, as an empty file in the state directory. If that is not
 * writable, the plan counts as one from another machine, whose hosts and directories have to be named again.
 */
export async function rememberPlan(id: Digest, io: UserEnvironment): Promise<void> {
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

/** Whether the plan was made on this machine by this user. */
export async function isOwnPlan(id: Digest, io: UserEnvironment): Promise<boolean> {
  try {
    return (await stat(join(directoryOf(io), hexOf(id)))).isFile();
  } catch {
    return false;
  }
}

function directoryOf({env, home}: UserEnvironment): string {
  return join(stateDirectory(env, home), 'plans');
}
