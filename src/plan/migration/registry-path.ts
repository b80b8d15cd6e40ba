import {TransshipError} from '../../model/error.ts';
import {canonicalRegistry, parseReference, withoutLogin} from '../../model/reference.ts';
import type {RegistryRoot} from './migration.ts';

/** A text that may begin with a host, split into its parts. */
export interface HostAndPath {
  /** The host as written; undefined: the text begins with a path. */
  readonly host: string | undefined;
  readonly path: string;
}

/**
 * Splits a text as docker does: the part before the first `/` is a host if it contains `.` or `:`, or is `localhost`
 * (distribution/reference normalize.go, `splitDockerDomain`). A part with a wildcard or a placeholder is not a host.
 */
export function splitHost(text: string): HostAndPath {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const isHost = (/[.:@[]/.test(first) || first === 'localhost') && !/[*?{}]/.test(first);
  return isHost ? {host: first, path: text.slice(slash + 1)} : {host: undefined, path: text};
}

/** The canonical name of a registry that `whyNotHost` accepts. */
export function parseRegistry(host: string): string {
  return parseReference(`${host}/x/x`).registry;
}

/** Why a text is not a host, as a clause; undefined: it is one. */
export function whyNotHost(host: string): string | undefined {
  if (host.includes('@'))
    return 'it contains credentials: remove them, they come from docker login';
  try {
    parseRegistry(host);
    return undefined;
  } catch {
    return 'it does not begin with a host: write host[:port]';
  }
}

/**
 * Parses `host[:port][/path]` of a command line. Unlike in references, the host is required.
 * @returns the host as `canonicalRegistry` gives it; the path may be empty
 * @throws TransshipError USAGE
 */
export function parseHostAndPath(text: string): {readonly host: string; readonly path: string} {
  const {host, path} = splitHost(text.includes('/') ? text : `${text}/`);
  if (host !== undefined && whyNotHost(host) === undefined)
    return {host: canonicalRegistry(host), path: path.replace(/\/$/, '')};
  throw new TransshipError('USAGE', `"${withoutLogin(text)}" does not begin with a host`, {
    side: 'local',
    hint: 'write host[:port] or host[:port]/path',
  });
}

/** `host/prefix/path`, without empty parts. */
export function rootedPath({registry, prefix}: RegistryRoot, path: string): string {
  return [registry, joinPath(prefix, path)].filter((part) => part !== '').join('/');
}

/** Joins two paths; either may be empty. */
export function joinPath(prefix: string, path: string): string {
  return [prefix, path].filter((part) => part !== '').join('/');
}
