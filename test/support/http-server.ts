import {once} from 'node:events';
import {createServer, type IncomingHttpHeaders, type Server, type ServerResponse} from 'node:http';
import {createServer as createTlsServer} from 'node:https';
import type {AddressInfo} from 'node:net';

/** A request as it arrived, its body read. */
export interface ArrivedRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface HttpServer extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** `http://127.0.0.1:PORT` or `https://…` */
  readonly url: string;
  /** What arrived, oldest first. */
  readonly requests: readonly ArrivedRequest[];
  /** Connections that were made so far. */
  connections(): number;
}

export type Handler = (request: ArrivedRequest, response: ServerResponse) => void | Promise<void>;

export interface HttpServerOptions {
  /** PEM: speak TLS. */
  readonly tls?: {readonly cert: string; readonly key: string};
  /** Answers before the body is read. */
  readonly early?: boolean;
}

/** Serves on a free port of 127.0.0.1 until it is disposed of. A handler that throws answers with 599. */
export async function startHttpServer(
  handler: Handler,
  {tls, early = false}: HttpServerOptions = {},
): Promise<HttpServer> {
  const requests: ArrivedRequest[] = [];
  let connections = 0;
  const scheme = tls ? 'https' : 'http';
  const server: Server = tls ? createTlsServer(tls) : createServer();
  server.on('request', (incoming, response) => {
    const answer = async (): Promise<void> => {
      const parts: Buffer[] = [];
      if (!early) for await (const part of incoming) parts.push(part as Buffer);
      const target = incoming.url ?? '/';
      const request: ArrivedRequest = {
        method: incoming.method ?? '',
        target,
        url: new URL(target, `${scheme}://${host}`),
        headers: incoming.headers,
        body: Buffer.concat(parts),
      };
      requests.push(request);
      await handler(request, response);
    };
    answer().catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(599);
      response.end(String(error));
    });
  });
  server.on('connection', () => connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    url: `${scheme}://${host}`,
    requests,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Answers with JSON. */
export function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, {'content-type': 'application/json', ...headers});
  response.end(JSON.stringify(value));
}

/** Answers as registries do where they refuse. */
export function sendError(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Record<string, string> = {},
): void {
  const message = code.toLowerCase().replaceAll('_', ' ');
  sendJson(response, status, {errors: [{code, message}]}, headers);
}
