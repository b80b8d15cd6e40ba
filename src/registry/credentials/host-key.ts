import {canonicalRegistry} from '../../model/reference.ts';

/** A key as it stands in the file, with what it stands for. */
export interface Keyed<T> {
  readonly key: string;
  readonly value: T;
}

/**
 * Finds what a table of a credentials file says about a host, or about one of its namespaces: the longest path that
 * holds `path` wins, then the host (containers-auth.json(5)). Hosts are compared whole, with their ports: anything
 * less hands passwords to strangers. Of keys that mean the same, the one written as the bare name wins.
 * @param path a repository's path; absent: only keys for the whole host count
 */
export function findForHost<T>(
  table: Readonly<Record<string, T>>,
  host: string,
  path?: string,
): Keyed<T> | undefined {
  const wanted = canonicalRegistry(host);
  let best: (Keyed<T> & {readonly rank: number}) | undefined;
  for (const [key, value] of Object.entries(table)) {
    const named = readKey(key);
    if (named.host !== wanted || !holds(named.namespace, path)) continue;
    const rank = 2 * named.namespace.length + (key === wanted ? 1 : 0);
    if (!best || rank > best.rank) best = {key, value, rank};
  }
  return best && {key: best.key, value: best.value};
}

/**
 * `host[:port][/namespace]`, as podman writes it; or a URL, as docker does, whose path says nothing:
 * `https://index.docker.io/v1/`. That path may stand without the scheme, too.
 */
function readKey(key: string): {host: string; namespace: string} {
  const bare = key.replace(/^https?:\/\//, '');
  const slash = bare.indexOf('/');
  const host = canonicalRegistry(slash < 0 ? bare : bare.slice(0, slash));
  const rest = slash < 0 ? '' : bare.slice(slash + 1).replace(/\/$/, '');
  const says = bare === key && rest !== 'v1' && rest !== 'v2';
  return {host, namespace: says ? rest : ''};
}

function holds(namespace: string, path: string | undefined): boolean {
  return namespace === '' || path === namespace || path?.startsWith(`${namespace}/`) === true;
}
