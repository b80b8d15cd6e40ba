import type {Exchange} from './exchange.ts';
import {startHttpServer} from './http-server.ts';
import {refusal} from './refusal.ts';
import {RequestLog} from './request-log.ts';
import {TOKEN_PATH} from './route.ts';
import {type TokenOptions, TokenService} from './token-service.ts';

/** A token service by itself, for a registry that is a process of its own. */
export interface TokenServer extends AsyncDisposable {
  /** For REGISTRY_AUTH_TOKEN_REALM. */
  readonly realm: string;
  /** For REGISTRY_AUTH_TOKEN_SERVICE. */
  readonly service: string;
  /** For REGISTRY_AUTH_TOKEN_ISSUER. */
  readonly issuer: string;
  /** For the file that REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE names. */
  readonly certificatePem: string;
  readonly log: RequestLog;
  close(): Promise<void>;
}

/** @param options.port default: a free one */
export async function startTokenServer(
  options: TokenOptions & {readonly port?: number},
): Promise<TokenServer> {
  const tokens = new TokenService(options);
  const log = new RequestLog();
  const server = await startHttpServer(options.port ?? 0, log, async (exchange: Exchange) => {
    if (exchange.route.kind === 'token') return tokens.answer(exchange);
    throw refusal(404, 'UNKNOWN', 'there is nothing at this path', exchange.path);
  });
  const close = () => server.close();
  return {
    realm: `http://${server.host}${TOKEN_PATH}`,
    service: tokens.service,
    issuer: tokens.issuer,
    certificatePem: tokens.key.certificatePem,
    log,
    close,
    [Symbol.asyncDispose]: close,
  };
}
