import {homedir} from 'node:os';
import {dirname, isAbsolute, join} from 'node:path';
import type {Environment} from '../http/proxy.ts';
import {statfs} from 'node:fs/promises';

/** The variables and the home directory of the user. */
export interface UserEnvironment {
  readonly env: Environment;
  readonly home: string;
  /** The user's id; undefined: the system has none. */
  readonly uid?: number | undefined;
}

/**
 * The user's home directory. A user without an entry in the system's list and without HOME, as in some containers, gets
 * the root directory, to which container runtimes set HOME for such a user.
 * @param find throws if there is none
 */
export function homeDirectory(find: () => string = homedir): string {
  try {
    return absolute(find()) ?? '/';
  } catch {
    return '/';
  }
}

/** For data that can be created again (XDG Base Directory Specification). */
export function cacheDirectory(env: Environment, home: string): string {
  return join(absolute(env['XDG_CACHE_HOME']) ?? join(home, '.cache'), 'transship');
}

/** For data that outlives a run, and is specific to this machine (XDG Base Directory Specification). */
export function stateDirectory(env: Environment, home: string): string {
  return join(absolute(env['XDG_STATE_HOME']) ?? join(home, '.local', 'state'), 'transship');
}

/**
 * A path that does not depend on the working directory: whoever controls that one could otherwise control what is
 * loaded from the cache. The specification ignores relative paths as well.
 */
function absolute(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? path : undefined;
}

/** The free bytes for a directory that may not exist yet; undefined: the system does not report them. */
export async function freeBytes(directory: string): Promise<number | undefined> {
  for (let at = directory; ; at = dirname(at)) {
    try {
      const {bavail, bsize} = await statfs(at);
      return bavail * bsize;
    } catch {
      // If it does not exist yet, the nearest existing directory above it counts.
      if (dirname(at) === at) return undefined;
    }
  }
}
