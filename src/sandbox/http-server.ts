import {once} from 'node:events';
import {createServer, type IncomingMessage, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {finished} from 'node:stream/promises';
import {type Answer, type Exchange, Refusal, refusal, type Reply} from './exchange.ts';
import {parseRoute, type Route} from './route.ts';

/** A request that ended, by a response or by a broken connection. Has no header that may contain a secret. */
export interface LoggedRequest {
  /** As in `Exchange.number`. */
  readonly number: number;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly kind: Route['kind'];
  /** Undefined: no response was sent. */
  readonly status: number | undefined;
  /** Bytes of the request's body that were read, and of the response's body that were written to the connection. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** The Range header of a download. */
  readonly range: string | undefined;
  /** The Content-Range header of an upload. */
  readonly contentRange: string | undefined;
  /** An error in the sandbox or of the connection. */
  readonly failure: string | undefined;
}

/**
 * The latest requests, in the order in which they ended. A request is in the log before the client has its whole
 * response, unless the body is large.
 */
export class RequestLog {
  readonly #limit: number;
  #entries: LoggedRequest[] = [];

  /** @param limit the minimum number of requests that are kept; the maximum is twice that */
  constructor(limit = 10_000) {
    this.#limit = limit;
  }

  get entries(): readonly LoggedRequest[] {
    return this.#entries;
  }

  add(entry: LoggedRequest): void {
    if (this.#entries.length >= 2 * this.#limit) this.#entries = this.#entries.slice(-this.#limit);
    this.#entries.push(entry);
  }

  clear(): void {
    this.#entries = [];
  }
}

/** A server on the loopback interface. */
export interface HttpServer extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** Closes all connections; settles when the last request has ended. */
  close(): Promise<void>;
}

/** Longer than clients keep a connection, so that the client closes it. */
const KEEP_ALIVE_MS = 120_000;

/**
 * Listens on 127.0.0.1 and passes each request to `answer`.
 * @param port 0: a free port
 * @throws Error EADDRINUSE, EACCES
 */
export async function startHttpServer(
  port: number,
  log: RequestLog,
  answer: Answer,
): Promise<HttpServer> {
  const underWay = new Set<Promise<void>>();
  let count = 0;
  const server = createServer((request, response) => {
    count += 1;
    const work = serve(request, response, count, answer, log);
    underWay.add(work);
    void work.then(() => underWay.delete(work));
  });
  // A chunk of a slow upload may take any time.
  server.requestTimeout = 0;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const close = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
    await Promise.all(underWay);
  };
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {host, close, [Symbol.asyncDispose]: close};
}

/** Bytes of both bodies so far. */
interface Traffic {
  bytesIn: number;
  bytesOut: number;
}

/**
 * Serves one request and logs it; never rejects. If `answer` throws a Refusal, sends its reply; for any other error,
 * 500.
 * @param number see `Exchange.number`
 */
async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  number: number,
  answer: Answer,
  log: RequestLog,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort(new Error('the connection was closed')));
  const traffic: Traffic = {bytesIn: 0, bytesOut: 0};
  const exchange = toExchange(request, number, gone.signal, traffic);
  const record = (status: number | undefined, failure: Error | undefined) =>
    log.add({
      number,
      method: exchange.method,
      path: request.url ?? '',
      kind: exchange.route.kind,
      status,
      ...traffic,
      range: request.headers.range,
      contentRange: request.headers['content-range'],
      failure: failure?.message,
    });
  let failure: Error | undefined;
  try {
    const guarded = async (): Promise<Reply> => {
      throwUnlessLocal(request);
      return await answer(exchange);
    };
    const reply = await guarded().catch((error: unknown) => {
      if (error instanceof Refusal) return error.reply;
      failure = asError(error);
      return refusal(500, 'UNKNOWN', failure.message).reply;
    });
    gone.signal.throwIfAborted();
    if (isRegistryRoute(exchange.route))
      response.setHeader('docker-distribution-api-version', 'registry/2.0');
    await writeReply(response, reply, gone.signal, traffic);
    // Before the end, so that a client that has the whole response finds the request in the log.
    record(reply.status, failure);
  } catch (error) {
    record(response.headersSent ? response.statusCode : undefined, failure ?? asError(error));
    // The client receives what was sent before the body broke off, then the end of the connection.
    request.socket.destroySoon();
    return;
  }
  response.end();
  // Unread body bytes would precede the connection's next request.
  request.resume();
  // The client may close the connection before the last bytes.
  await finished(response).catch(() => {});
}

function toExchange(
  request: IncomingMessage,
  number: number,
  signal: AbortSignal,
  traffic: Traffic,
): Exchange {
  const [path = '', query = ''] = (request.url ?? '').split(/\?(.*)/s);
  const {localAddress, localPort} = request.socket;
  return {
    method: request.method ?? '',
    path,
    query: new URLSearchParams(query),
    headers: request.headers,
    route: parseRoute(path),
    number,
    origin: `http://${request.headers.host ?? `${localAddress}:${localPort}`}`,
    signal,
    socket: request.socket,
    body: countedIn(request, traffic),
  };
}

/** An iteration that ends early leaves the connection open, because the response is still to be sent. */
async function* countedIn(request: IncomingMessage, traffic: Traffic): AsyncGenerator<Uint8Array> {
  for await (const chunk of request.iterator({destroyOnReturn: false})) {
    traffic.bytesIn += chunk.byteLength;
    yield chunk;
  }
}

/** Only the routes of the registry have its header (distribution: registry/handlers/app.go). */
function isRegistryRoute({kind}: Route): boolean {
  return kind !== 'token' && kind !== 'unknown';
}

/** Writes a response up to, but not including, its end. */
async function writeReply(
  response: ServerResponse,
  {status, headers, body}: Reply,
  signal: AbortSignal,
  traffic: Traffic,
): Promise<void> {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.statusCode = status;
  const isBodyless = body === undefined || response.req.method === 'HEAD';
  for await (const chunk of isBodyless ? [] : chunksOf(body)) {
    traffic.bytesOut += chunk.byteLength;
    if (!response.write(chunk)) await once(response, 'drain', {signal});
  }
}

function chunksOf(body: NonNullable<Reply['body']>): AsyncIterable<Uint8Array> | [Uint8Array] {
  return typeof body === 'function' ? body() : [body];
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** `localhost`, 127.0.0.0/8 or ::1, with or without a port. */
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/**
 * Rejects web pages: a page of another origin can send requests to loopback, and by DNS rebinding even read the
 * responses. The former sends its origin, for a GET only that it is of another site (Fetch Metadata, `Sec-Fetch-Site`)
 * or its address (`Referer`); the latter sends another host.
 * @throws Refusal DENIED
 */
function throwUnlessLocal({headers, headersDistinct}: IncomingMessage): void {
  const {host, origin, referer} = headers;
  // Of several, each reader may believe another one (RFC 9112, section 3.2).
  if (host === undefined || !LOOPBACK.test(host) || headersDistinct['host']?.length !== 1)
    throw refusal(403, 'DENIED', 'the sandbox serves loopback hosts only');
  const isForeign =
    (origin !== undefined && !LOOPBACK.test(origin.replace(/^https?:\/\//, ''))) ||
    (referer !== undefined && !LOOPBACK.test(URL.parse(referer)?.host ?? '')) ||
    headers['sec-fetch-site'] === 'cross-site';
  if (isForeign)
    throw refusal(403, 'DENIED', 'the sandbox rejects requests from web pages of other origins');
}
