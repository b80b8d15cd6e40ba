import type {ServerResponse} from 'node:http';
import {
  type ArrivedRequest,
  type HttpServer,
  sendError,
  sendJson,
  startHttpServer,
} from './http-server.ts';

export interface TokenRegistry extends AsyncDisposable {
  readonly registry: HttpServer;
  readonly service: HttpServer;
  /** What is known of tokens that were given, by their value. */
  readonly given: ReadonlyMap<string, readonly string[]>;
  /** Refuses this token from now on. */
  revoke(token: string): void;
}

export interface TokenRegistryOptions {
  /** Answers a request that carries a good token. */
  readonly answer?: (request: ArrivedRequest, response: ServerResponse) => void;
  /** What the token service says beside `token`, or in place of it. */
  readonly token?: (scopes: readonly string[]) => Record<string, unknown>;
  /** The realm of the challenges. Default: the token service's. */
  readonly realm?: string;
  /** The scope of the challenges. Default: none. */
  readonly scope?: string;
}

/** A registry that wants bearer tokens, and the token service that gives them to everybody. */
export async function startTokenRegistry(
  options: TokenRegistryOptions = {},
): Promise<TokenRegistry> {
  const given = new Map<string, readonly string[]>();
  const revoked = new Set<string>();
  let count = 0;
  const service = await startHttpServer((request, response) => {
    const form = new URLSearchParams(request.body.toString());
    const scopes =
      request.method === 'POST'
        ? (form.get('scope') ?? '').split(' ')
        : request.url.searchParams.getAll('scope');
    const token = `token-${++count}`;
    given.set(token, scopes);
    sendJson(response, 200, {token, expires_in: 300, ...options.token?.(scopes)});
  });
  const realm = options.realm ?? `${service.url}/token`;
  const scope = options.scope === undefined ? '' : `,scope="${options.scope}"`;
  const challenge = {'www-authenticate': `Bearer realm="${realm}",service="registry"${scope}`};
  const registry = await startHttpServer((request, response) => {
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (token === '' || revoked.has(token)) {
      sendError(response, 401, 'UNAUTHORIZED', challenge);
    } else {
      (options.answer ?? ok)(request, response);
    }
  });
  return {
    registry,
    service,
    given,
    revoke: (token) => revoked.add(token),
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await service[Symbol.asyncDispose]();
    },
  };
}

function ok(_request: ArrivedRequest, response: ServerResponse): void {
  response.writeHead(200).end();
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** A JWT with these claims and no valid signature. */
export function unsignedJwt(claims: Record<string, unknown>): string {
  return `${encode({alg: 'none'})}.${encode(claims)}.sig`;
}
