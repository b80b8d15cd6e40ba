import type {IncomingHttpHeaders} from 'node:http';
import {type Access, accessFor, covers, formatScope} from './access.ts';
import {allowed, findUser, type Grant, parseBasic, type User} from './account.ts';
import type {Exchange} from './exchange.ts';
import type {Caller} from './registry.ts';
import {type Refusal, refusal} from './refusal.ts';
import {TOKEN_PATH} from './route.ts';
import type {TokenService} from './token-service.ts';

/**
 * Lets a request in, or not.
 * @throws Refusal UNAUTHORIZED with a challenge, DENIED
 */
export type Guard = (exchange: Exchange) => Caller;

/** `localhost`, 127.0.0.0/8 or ::1, with or without a port. */
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/**
 * Keeps web pages out: a page of somewhere else may send requests to loopback, and by DNS rebinding even read the answers.
 * The first names its origin, the second another host.
 * @throws Refusal DENIED
 */
export function throwUnlessLocal({host, origin}: IncomingHttpHeaders): void {
  if (host === undefined || !LOOPBACK.test(host))
    throw refusal(403, 'DENIED', 'the sandbox answers for loopback hosts only');
  if (origin === undefined || LOOPBACK.test(origin.replace(/^https?:\/\//, ''))) return;
  throw refusal(403, 'DENIED', 'the sandbox does not answer pages of another origin');
}

/** Lets everybody do everything. */
export const openGuard: Guard = () => ({mayPull: () => true});

/** Asks for a token of `tokens`, which answers on the same server. */
export function tokenGuard(tokens: Pick<TokenService, 'service' | 'verify'>): Guard {
  return (exchange) => {
    const needed = accessFor(exchange);
    const [, token] = /^bearer +(\S+)$/i.exec(exchange.headers.authorization ?? '') ?? [];
    const claims = token === undefined ? undefined : tokens.verify(token);
    if (!claims) {
      const error = token === undefined ? undefined : 'invalid_token';
      throw challenge(exchange, tokens.service, needed, error);
    }
    if (!covers(claims.access, needed))
      throw challenge(exchange, tokens.service, needed, 'insufficient_scope');
    return callerWith((access) => covers(claims.access, [access]));
  };
}

/** Asks for a name and a password with every request. */
export function basicGuard(users: readonly User[], anonymous: readonly Grant[] = []): Guard {
  return (exchange) => {
    const credentials = parseBasic(exchange.headers.authorization);
    const user = credentials && findUser(users, credentials);
    const grants = [...(user?.grants ?? []), ...anonymous];
    const permits = (access: Access) => allowed(grants, access).length === access.actions.length;
    const needed = accessFor(exchange);
    if (!user && (credentials !== undefined || needed.length === 0 || !needed.every(permits))) {
      throw refusal(401, 'UNAUTHORIZED', 'authentication required', undefined, {
        'www-authenticate': 'Basic realm="transship sandbox"',
      });
    }
    if (!needed.every(permits))
      throw refusal(403, 'DENIED', 'requested access to the resource is denied', needed);
    return callerWith(permits);
  };
}

function callerWith(permits: (access: Access) => boolean): Caller {
  return {mayPull: (name) => permits({type: 'repository', name, actions: ['pull']})};
}

function challenge(
  {origin}: Exchange,
  service: string,
  needed: readonly Access[],
  error: 'invalid_token' | 'insufficient_scope' | undefined,
): Refusal {
  const parameters = [
    `realm="${origin}${TOKEN_PATH}"`,
    `service="${service}"`,
    ...(needed.length > 0 ? [`scope="${formatScope(needed)}"`] : []),
    ...(error === undefined ? [] : [`error="${error}"`]),
  ];
  return refusal(401, 'UNAUTHORIZED', 'authentication required', needed, {
    'www-authenticate': `Bearer ${parameters.join(',')}`,
  });
}
