import type {Credentials} from '../auth.ts';
import {jsonReply, type Reply} from '../exchange.ts';
import {type ApiCall, unauthorized} from './api-call.ts';
import type {Person} from './rights.ts';
import type {World, WorldToken} from './world.ts';

/** The version that the sandbox's GitLab reports: the first one with all endpoints of the sandbox. */
const VERSION = '18.9.0';

/** `GET /version` */
export function showVersion(): Reply {
  return jsonReply(200, {version: VERSION, revision: 'sandbox'});
}

/** `GET /metadata` */
export function showMetadata(): Reply {
  const kas = {enabled: false, externalUrl: null, version: null};
  return jsonReply(200, {version: VERSION, revision: 'sandbox', kas, enterprise: false});
}

/** `GET /user` */
export function showUser({person, exchange}: ApiCall): Reply {
  const {user} = person;
  return jsonReply(200, {
    id: user.id,
    username: user.username,
    name: user.username,
    state: 'active',
    web_url: `${exchange.origin}/${user.username}`,
    namespace_id: user.namespaceId,
    ...(user.admin ? {is_admin: true} : {}),
  });
}

/** `GET /personal_access_tokens/self` (GitLab: lib/api/personal_access_tokens/self_information.rb). */
export function showToken({person}: ApiCall): Reply {
  const {token, user} = person;
  if (token?.kind !== 'access') throw unauthorized();
  return jsonReply(200, {
    id: token.id,
    name: token.name,
    revoked: false,
    active: true,
    user_id: user.id,
    scopes: token.scopes,
    expires_at: token.expiresOn ?? null,
  });
}

/** The token with this value, unless it has expired. */
export function tokenOf(world: World, value: string, now: number): WorldToken | undefined {
  const token = world.tokens.find((candidate) => candidate.value === value);
  // A token expires at the beginning (UTC) of its expiry date.
  return token?.expiresOn !== undefined && Date.parse(token.expiresOn) <= now ? undefined : token;
}

/** The user of a token. */
export function bearerOf(world: World, token: WorldToken | undefined): Person | undefined {
  const user = token && world.users.get(token.userId);
  return user && {user, token};
}

/**
 * The user that signs in at the token service (GitLab: lib/gitlab/auth.rb, `find_for_git_client`). The name is ignored
 * with an access token, `gitlab-ci-token` with that of a job, and the token's own with a deploy token.
 */
export function signIn(
  world: World,
  {name, password}: Credentials,
  now: number,
): Person | undefined {
  const token = tokenOf(world, password, now);
  const nameFits =
    token?.kind === 'access' ||
    (token?.kind === 'job' && name === 'gitlab-ci-token') ||
    (token?.kind === 'deploy' && name === token.name);
  if (nameFits) return bearerOf(world, token);
  const user = world.userNamed(name);
  return user?.password === password && password !== '' ? {user, token: undefined} : undefined;
}
