import {createHash, timingSafeEqual} from 'node:crypto';
import picomatch from 'picomatch';
import {type Exchange, type Refusal, refusal} from './exchange.ts';
import {isRepositoryPath} from './names.ts';
import type {Caller} from './registry.ts';
import {TOKEN_PATH} from './route.ts';
import type {TokenService} from './tokens.ts';

/** An operation on a repository; `*` stands for all. */
export type Action = 'pull' | 'push' | 'delete' | '*';

/** A permission in a token (distribution: docs/spec/auth/jwt.md, `access`). */
export interface Access {
  readonly type: 'repository' | 'registry';
  readonly name: string;
  readonly actions: readonly Action[];
}

const ACTIONS: readonly string[] = ['pull', 'push', 'delete', '*'] satisfies readonly Action[];

/**
 * The permissions that a request needs (distribution: registry/handlers/app.go, `authorized`, `appendAccessRecords`).
 */
function accessFor({route, method, query}: Exchange): readonly Access[] {
  if (route.kind === 'catalog') return [{type: 'registry', name: 'catalog', actions: ['*']}];
  if (!('repository' in route)) return [];
  const needed = {type: 'repository', name: route.repository, actions: actionsOf(method)} as const;
  const from = query.get('from') ?? '';
  return from === '' ? [needed] : [needed, {type: 'repository', name: from, actions: ['pull']}];
}

/** `repository:group/app:pull,push`, separated by spaces. */
function formatScope(accesses: readonly Access[]): string {
  return accesses.map(({type, name, actions}) => `${type}:${name}:${actions.join(',')}`).join(' ');
}

/** Reads scopes, of which each string may contain several; drops invalid ones. A path may contain a colon. */
export function parseScopes(scopes: readonly string[]): readonly Access[] {
  return scopes.flatMap((scope) => scope.split(' ')).flatMap((scope) => parseScope(scope) ?? []);
}

/** Whether `granted` includes all of `needed`. */
function covers(granted: readonly Access[], needed: readonly Access[]): boolean {
  return needed.every(({type, name, actions}) =>
    actions.every((action) =>
      granted.some(
        (access) =>
          access.type === type &&
          access.name === name &&
          (access.actions.includes(action) || access.actions.includes('*')),
      ),
    ),
  );
}

function parseScope(scope: string): Access | undefined {
  const [, type, name, actions] =
    /^(repository|registry)(?:\([a-z]+\))?:(.+):([a-z*,]*)$/.exec(scope) ?? [];
  if (name === undefined || actions === undefined) return undefined;
  if (type === 'registry') return {type, name, actions: parseActions(actions)};
  return isRepositoryPath(name)
    ? {type: 'repository', name, actions: parseActions(actions)}
    : undefined;
}

function parseActions(text: string): readonly Action[] {
  return text.split(',').filter((action): action is Action => ACTIONS.includes(action));
}

function actionsOf(method: string): readonly Action[] {
  switch (method) {
    case 'GET':
    case 'HEAD':
      return ['pull'];
    case 'DELETE':
      return ['delete'];
    default:
      return ['pull', 'push'];
  }
}

/** The actions that a user may take on matching repositories. */
export interface Grant {
  /** A glob: `group/*`, `group/**`. The catalog counts as a repository named `catalog` and needs the action `*`. */
  readonly repository: string;
  readonly actions: readonly Action[];
}

export interface User {
  readonly name: string;
  readonly password: string;
  readonly grants: readonly Grant[];
}

export interface Credentials {
  readonly name: string;
  readonly password: string;
}

/** Reads an Authorization header with Basic (RFC 7617); undefined: another scheme, or malformed. */
export function parseBasic(header: string | undefined): Credentials | undefined {
  const [, encoded] = /^basic +([a-z0-9+/]+=*)$/i.exec(header ?? '') ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : {name: text.slice(0, colon), password: text.slice(colon + 1)};
}

/** The user with this name and password. */
export function findUser(users: readonly User[], {name, password}: Credentials): User | undefined {
  const user = users.find((candidate) => candidate.name === name);
  return user && sameSecret(user.password, password) ? user : undefined;
}

/** The requested actions that the grants allow; the others are dropped without an error. */
export function allowed(grants: readonly Grant[], {type, name, actions}: Access): Action[] {
  if (type === 'repository') return actions.filter((action) => isGranted(grants, name, action));
  return name === 'catalog' ? actions.filter((action) => isGranted(grants, name, action)) : [];
}

function isGranted(grants: readonly Grant[], name: string, action: Action): boolean {
  return grants.some(
    (grant) =>
      (grant.actions.includes('*') || grant.actions.includes(action)) &&
      picomatch.isMatch(name, grant.repository),
  );
}

function sameSecret(expected: string, given: string): boolean {
  return timingSafeEqual(sha256(expected), sha256(given));
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/**
 * Authorizes a request.
 * @throws Refusal UNAUTHORIZED with a challenge, DENIED
 */
export type Guard = (exchange: Exchange) => Caller;

/** Allows everything without authentication. */
export const openGuard: Guard = () => ({mayPull: () => true});

/** Requires a token of `tokens`, which is on the same server. */
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

/** Requires a name and a password with every request (HTTP Basic). */
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
  const detail = needed.length === 0 ? null : needed.flatMap(accessRecords);
  return refusal(401, 'UNAUTHORIZED', 'authentication required', detail, {
    'www-authenticate': `Bearer ${parameters.join(',')}`,
  });
}

/** Go's default encoding of a record for each action (GitLab container registry: registry/auth/auth.go, `Access`). */
function accessRecords({type, name, actions}: Access): readonly object[] {
  return actions.map((action) => ({
    Type: type,
    Class: '',
    Name: name,
    ProjectPath: '',
    Action: action,
  }));
}
