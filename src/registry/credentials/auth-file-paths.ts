import {join} from 'node:path';
import type {Environment} from '../../model/environment.ts';

/** Who runs this, as far as the places of files depend on it. */
export interface User {
  /** The home directory; absent: there is none. */
  readonly home?: string;
  /** The user id; absent on systems without one. */
  readonly uid?: number;
}

/**
 * Where podman keeps its logins (containers-auth.json(5)): the run-time directory, then the user's configuration.
 * Without XDG_RUNTIME_DIR podman takes /run/containers/UID.
 */
export function podmanAuthFiles(env: Environment, {home, uid}: User): readonly string[] {
  const folders: string[] = [];
  const runtime = env['XDG_RUNTIME_DIR'];
  if (runtime) folders.push(join(runtime, 'containers'));
  else if (uid !== undefined) folders.push(`/run/containers/${uid}`);
  const config = env['XDG_CONFIG_HOME'] || (home && join(home, '.config'));
  if (config) folders.push(join(config, 'containers'));
  return folders.map((folder) => join(folder, 'auth.json'));
}

/** Docker's `config.json`: in DOCKER_CONFIG, or else in `~/.docker`. */
export function dockerConfigFile(env: Environment, {home}: User): string | undefined {
  const folder = env['DOCKER_CONFIG'] || (home && join(home, '.docker'));
  return folder ? join(folder, 'config.json') : undefined;
}
