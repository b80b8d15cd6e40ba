import type {Environment} from '../../http/proxy.ts';
import {canonicalRegistry} from '../../model/reference.ts';
import {type Credentials, type CredentialSide, credentialsInvalid} from './credentials.ts';

/** Credentials for a side from environment variables, and their host, if a variable names it. */
export interface SideCredentials {
  readonly credentials: Credentials;
  readonly host: string | undefined;
  /** `TRANSSHIP_SOURCE` or `TRANSSHIP_DESTINATION`: how the names of the variables begin. */
  readonly prefix: string;
}

/**
 * Reads TRANSSHIP_SOURCE_USERNAME with _PASSWORD, or _TOKEN (a registry token), and _HOST; likewise
 * TRANSSHIP_DESTINATION_*. Undefined: the side has none. An empty value counts as not set.
 * @throws TransshipError CREDENTIALS_INVALID for an incomplete pair, or for both forms
 */
export function sideCredentials(
  env: Environment,
  side: CredentialSide,
): SideCredentials | undefined {
  const prefix = `TRANSSHIP_${side.toUpperCase()}`;
  const [username, password, token, host] = ['USERNAME', 'PASSWORD', 'TOKEN', 'HOST'].map(
    (part) => env[`${prefix}_${part}`] || undefined,
  );
  const meant = {host: host === undefined ? undefined : canonicalRegistry(host), prefix};
  if (token !== undefined && (username ?? password) !== undefined) {
    throw credentialsInvalid(
      `${prefix}_TOKEN and ${prefix}_${username === undefined ? 'PASSWORD' : 'USERNAME'} are both set`,
      'set either the token, or the user name and password',
    );
  }
  if (token !== undefined) return {...meant, credentials: {kind: 'registry-token', token}};
  if (username === undefined && password === undefined) return undefined;
  if (username !== undefined && password !== undefined) {
    return {...meant, credentials: {kind: 'basic', username, password}};
  }
  const [given, missing] =
    username === undefined ? ['PASSWORD', 'USERNAME'] : ['USERNAME', 'PASSWORD'];
  throw credentialsInvalid(
    `${prefix}_${given} is set without ${prefix}_${missing}`,
    `set ${prefix}_${missing} too`,
  );
}

/** The pairs of variables that a GitLab job may have for its registry, those with most permissions first. */
const CI_PAIRS = [
  ['CI_REGISTRY_USER', 'CI_REGISTRY_PASSWORD'],
  ['CI_DEPLOY_USER', 'CI_DEPLOY_PASSWORD'],
] as const;

/**
 * The credentials of a GitLab job for the registry of its instance, and for no other host: the job's login, else the
 * deploy token `gitlab-deploy-token`, else the job token (https://docs.gitlab.com/ci/variables/predefined_variables/).
 */
export function gitlabJobCredentials(env: Environment, host: string): Credentials | undefined {
  const registry = env['CI_REGISTRY'];
  if (!registry || canonicalRegistry(registry) !== canonicalRegistry(host)) return undefined;
  for (const [user, secret] of CI_PAIRS) {
    const username = env[user];
    const password = env[secret];
    if (username && password) return {kind: 'basic', username, password};
  }
  const password = env['CI_JOB_TOKEN'];
  return password ? {kind: 'basic', username: 'gitlab-ci-token', password} : undefined;
}

/** A key as written in the file, and its meaning. */
export interface Keyed<T> {
  readonly key: string;
  readonly value: T;
}

/**
 * Finds the entry of a credentials file for a host or one of its namespaces: the longest path that contains `path`
 * wins, then the host (containers-auth.json(5)). Hosts are compared completely, with their ports: anything less would
 * send passwords to other hosts. Of equivalent keys, the bare name wins.
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
 * `host[:port][/namespace]`, as podman writes it; or a URL, as docker does, whose path is ignored:
 * `https://index.docker.io/v1/`. The scheme may be missing.
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
