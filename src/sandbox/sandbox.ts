import {basicGuard, type Grant, type Guard, openGuard, tokenGuard, type User} from './auth.ts';
import type {Exchange, Intercept, Reply} from './exchange.ts';
import {RequestLog, startHttpServer} from './http-server.ts';
import {answerRegistry, type Flavour, SPEC_FLAVOUR} from './registry.ts';
import {Storage, type StorageOptions} from './storage.ts';
import {type TokenOptions, TokenService} from './tokens.ts';

/** Authentication and permissions. */
export type AuthOptions =
  /** By token, as in GitLab: `/jwt/auth` on the same server. */
  | ({readonly kind: 'token'} & TokenOptions)
  | {
      readonly kind: 'basic';
      readonly users: readonly User[];
      /** Permissions without credentials. Default: none. */
      readonly anonymous?: readonly Grant[];
    };

export interface SandboxOptions {
  /** Default: a free port. */
  readonly port?: number;
  /** Default: in memory. */
  readonly storage?: StorageOptions;
  /** Default: no authentication, all permissions. */
  readonly auth?: AuthOptions;
  /** Differences from `SPEC_FLAVOUR`. */
  readonly flavour?: Partial<Flavour>;
  readonly intercept?: Intercept;
}

/** A registry in this process, for trials and tests. */
export interface Sandbox extends AsyncDisposable {
  /** `127.0.0.1:PORT`, as in image references. */
  readonly host: string;
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly storage: Storage;
  readonly log: RequestLog;
  /** Closes all connections; settles when the last request has ended. */
  close(): Promise<void>;
}

/** @throws Error EADDRINUSE, EACCES */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const storage = new Storage(options.storage ?? {kind: 'memory'});
  const flavour = {...SPEC_FLAVOUR, ...options.flavour};
  const {auth, intercept} = options;
  const tokens = auth?.kind === 'token' ? new TokenService(auth) : undefined;
  const guard = guardFor(auth, tokens);
  const answer = async (exchange: Exchange): Promise<Reply> => {
    if (tokens && exchange.route.kind === 'token') return tokens.answer(exchange);
    return answerRegistry({storage, flavour}, exchange, guard(exchange));
  };
  const log = new RequestLog();
  const server = await startHttpServer(options.port ?? 0, log, (exchange) =>
    intercept ? intercept(exchange, () => answer(exchange)) : answer(exchange),
  );
  const {host} = server;
  const close = () => server.close();
  return {host, url: `http://${host}`, storage, log, close, [Symbol.asyncDispose]: close};
}

function guardFor(auth: AuthOptions | undefined, tokens: TokenService | undefined): Guard {
  if (tokens) return tokenGuard(tokens);
  return auth?.kind === 'basic' ? basicGuard(auth.users, auth.anonymous) : openGuard;
}
