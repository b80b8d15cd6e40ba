import {jsonReply, type Reply} from '../reply.ts';
import type {ApiCall} from './api-call.ts';
import {unauthorized} from './api-refusal.ts';

/** The version that the sandbox's GitLab says to have: the first with all calls that it answers. */
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
