import type {Environment} from '../../model/environment.ts';
import {canonicalRegistry} from '../../model/reference.ts';
import {type Credentials, credentialsInvalid, type CredentialSide} from './credentials.ts';

/** Credentials that variables give for a side, and the host they are meant for, where a variable says it. */
export interface SideCredentials {
  readonly credentials: Credentials;
  readonly host: string | undefined;
  /** `TRANSSHIP_SOURCE` or `TRANSSHIP_DESTINATION`: how the names of the variables begin. */
  readonly prefix: string;
}

/**
 * Reads TRANSSHIP_SOURCE_USERNAME with _PASSWORD, or _TOKEN (a registry token), and _HOST; likewise
 * TRANSSHIP_DESTINATION_*. Undefined: the side has none. An empty value counts as not set.
 * @throws TransshipError CREDENTIALS_INVALID for half of a pair, or for both ways at once
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
      'set the token, or user name and password, not both',
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

/** The pairs of variables that a GitLab job may have for its registry, the one with most rights first. */
const CI_PAIRS = [
  ['CI_REGISTRY_USER', 'CI_REGISTRY_PASSWORD'],
  ['CI_DEPLOY_USER', 'CI_DEPLOY_PASSWORD'],
] as const;

/**
 * What a GitLab job may use for the registry of its instance, and for no other host: the job's login, else the deploy
 * token `gitlab-deploy-token`, else the job token (https://docs.gitlab.com/ci/variables/predefined_variables/).
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
