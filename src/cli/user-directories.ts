import {homedir} from 'node:os';
import {dirname, isAbsolute, join} from 'node:path';
import type {Environment} from '../http/proxy.ts';
import {chmod, statfs} from 'node:fs/promises';
import {makeDirectory} from '../places/durable-file.ts';

/**
 * Where the user's own files are. A user that has no entry in the system's list and no HOME, as in some containers, gets
 * the root directory, which container runtimes set HOME to for such a user.
 * @param find throws where there is none
 */
export function homeDirectory(find: () => string = homedir): string {
  try {
    return absolute(find()) ?? '/';
  } catch {
    return '/';
  }
}

/** For what can be made again (XDG Base Directory Specification). */
export function cacheDirectory(env: Environment, home: string): string {
  return join(absolute(env['XDG_CACHE_HOME']) ?? join(home, '.cache'), 'transship');
}

/** For what is to outlive a run, and is of no use elsewhere (XDG Base Directory Specification). */
export function stateDirectory(env: Environment, home: string): string {
  return join(absolute(env['XDG_STATE_HOME']) ?? join(home, '.local', 'state'), 'transship');
}

/**
 * Makes a directory that only the user may look into, whatever the umask is, and whatever an earlier version made.
 * @throws the system's error
 */
export async function privateDirectory(path: string): Promise<void> {
  await makeDirectory(path, 0o700);
  await chmod(path, 0o700);
}

/**
 * A path that does not lead into the directory that a command happens to run in: whoever filled that one would choose
 * what is loaded from the cache. The specification, too, has relative paths ignored.
 */
function absolute(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? path : undefined;
}

/** Bytes that are free where this directory is, or will be made; undefined: the system does not tell. */
export async function freeBytes(directory: string): Promise<number | undefined> {
  for (let at = directory; ; at = dirname(at)) {
    try {
      const {bavail, bsize} = await statfs(at);
      return bavail * bsize;
    } catch {
      // It is made later: what is above it tells.
      if (dirname(at) === at) return undefined;
    }
  }
}
