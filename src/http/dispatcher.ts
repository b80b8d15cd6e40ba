import type {LookupFunction} from 'node:net';
import type {Readable} from 'node:stream';
import {setImmediate} from 'node:timers/promises';
import {type Dispatcher, errors, Pool} from 'undici';
import {onAbort} from './abort.ts';
import {type ResponseData, contentLength} from './response.ts';
import {ResponseBody} from './response-body.ts';
import {USER_AGENT} from '../model/product.ts';
import type {HttpBody, HttpRequest} from './request.ts';
import {protocolError} from './network-error.ts';
import {connector} from './connector.ts';
import {type Deliveries, INTERIM_LIMIT} from './framing-limit.ts';
import type {ExchangeWatch} from './exchange.ts';
import type {OriginSettings} from './origin.ts';
import {guardedLookup} from './guarded-lookup.ts';
import {proxyDispatcher} from './proxy-dispatcher.ts';
import {secureOptions} from './tls.ts';

/** A request's body, opened. */
export type Content = Uint8Array | AsyncIterable<Uint8Array>;

/** Bytes per write. Each write must complete within `headersMs`, or else the upload counts as stalled. */
const PIECE = 512 * 1024;

/**
 * Sends a request once.
 * @param watch reports the exchange to an observer
 * @throws errors of Node and undici, which `networkError` converts; errors of the body; the signal's reason
 */
export async function dispatch(
  request: HttpRequest,
  content: Content | undefined,
  {dispatcher, proxy, deliveries}: OriginDispatcher,
  timeouts: Timeouts,
  watch?: ExchangeWatch,
): Promise<ResponseData> {
  const {method, url, signal, headersTimeoutMs = timeouts.headersMs, moreHeadersMs = 0} = request;
  const {target = `${url.pathname}${url.search}`} = request;
  // Undici waits one turn of the event loop for the server to close the connection after its response. A request that
  // is sent earlier would open another connection.
  await setImmediate();
  signal.throwIfAborted();
  const headers = headersOf(request);
  return await new Promise((resolve, reject) => {
    const handler = new ResponseHandler(
      {signal, readMs: timeouts.readMs, deliveries},
      resolve,
      reject,
    );
    dispatcher.dispatch(
      {
        origin: url.origin,
        path: target,
        method,
        headers,
        // Undici takes any async iterable; its types name streams only.
        body: (content && bodyOf(content, proxy !== undefined)) as Readable | Uint8Array | null,
        // Without this, undici closes the connection after each HEAD, in case an illegal body follows.
        reset: false,
        headersTimeout: headersTimeoutMs + moreHeadersMs,
        bodyTimeout: timeouts.bodyIdleMs,
      },
      watch ? watch.watch(handler, request, proxy, headers) : handler,
    );
  });
}

interface HandlerOptions {
  readonly signal: AbortSignal;
  readonly readMs: number;
  readonly deliveries: Deliveries;
}

/** Builds a response from undici's callbacks. */
class ResponseHandler implements Dispatcher.DispatchHandler {
  readonly #signal: AbortSignal;
  readonly #readMs: number;
  readonly #deliveries: Deliveries;
  readonly #answered: (data: ResponseData) => void;
  readonly #failed: (reason: Error) => void;
  readonly #forget: () => void;
  #controller: Dispatcher.DispatchController | undefined;
  #body: ResponseBody | undefined;
  #interim = 0;

  constructor(
    {signal, readMs, deliveries}: HandlerOptions,
    answered: (data: ResponseData) => void,
    failed: (reason: Error) => void,
  ) {
    this.#signal = signal;
    this.#readMs = readMs;
    this.#deliveries = deliveries;
    this.#answered = answered;
    this.#failed = failed;
    this.#forget = onAbort(signal, () => this.#end(signal.reason as Error));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // The request may have waited for a connection.
    if (this.#signal.aborted) controller.abort(this.#signal.reason as Error);
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: ResponseData['headers'],
  ): void {
    this.#deliveries.count++;
    if (statusCode < 200) {
      this.#interim += 1;
      if (this.#interim > INTERIM_LIMIT) controller.abort(protocolError('ENDLESS_INTERIM_ANSWERS'));
      return;
    }
    this.#body = new ResponseBody(controller, contentLength(headers));
    this.#answered({statusCode, headers, body: this.#body, readMs: this.#readMs});
  }

  onResponseData(_controller: Dispatcher.DispatchController, piece: Buffer): void {
    this.#deliveries.count++;
    this.#body?.push(piece);
  }

  onResponseEnd(): void {
    this.#forget();
    this.#body?.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#forget();
    this.#failed(error);
    this.#body?.end(error);
  }

  #end(reason: Error): void {
    this.#failed(reason);
    this.#body?.end(reason);
    this.#controller?.abort(reason);
  }
}

const WITH_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

function headersOf(request: HttpRequest): Record<string, string> {
  const {method, headers, originHeaders, authorization, body} = request;
  // For methods that allow a body, a length of 0 is declared (RFC 9110, section 8.6).
  const length = body ? lengthOf(body) : WITH_BODY.has(method) ? 0 : undefined;
  return {
    'accept-encoding': 'identity',
    'user-agent': USER_AGENT,
    ...headers,
    ...originHeaders,
    ...(authorization === undefined ? {} : {authorization}),
    ...(length === undefined ? {} : {'content-length': String(length)}),
  };
}

function lengthOf(body: HttpBody): number {
  return body.kind === 'bytes' ? body.bytes.byteLength : body.length;
}

function bodyOf(content: Content, isProxied: boolean): Content {
  return content instanceof Uint8Array ? content : pieces(content, isProxied);
}

/**
 * The body in writes of limited size. Its chunks are borrowed.
 * @param areKept whether undici may request a chunk before the system has taken the previous one: each one is then
 *   copied
 */
async function* pieces(
  chunks: AsyncIterable<Uint8Array>,
  areKept: boolean,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.byteLength; at += PIECE) {
      const piece = chunk.subarray(at, at + PIECE);
      yield areKept ? Buffer.from(piece) : piece;
    }
  }
}

/** Time limits of requests. */
export interface Timeouts {
  /** Connect timeout, in ms. */
  readonly connectMs: number;
  /** From the end of the request body to the response headers, and for a stalled request body, in ms. */
  readonly headersMs: number;
  /** Between two chunks of the response body, in ms. */
  readonly bodyIdleMs: number;
  /** For a whole response body that is read into memory, in ms. */
  readonly readMs: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = {
  connectMs: 20_000,
  headersMs: 60_000,
  bodyIdleMs: 60_000,
  readMs: 180_000,
};

/** The dispatcher of one origin. */
export interface OriginDispatcher {
  readonly dispatcher: Dispatcher;
  /** The URL of the proxy. Connections to it are undici's own, which keep written data until it is sent. */
  readonly proxy: string | undefined;
  /** Counts what its connections deliver. */
  readonly deliveries: Deliveries;
}

/**
 * HTTP/1.1 only: large bodies are several times slower over one HTTP/2 connection than over several connections. The
 * number of connections is not limited here: the throttle of the origin limits requests.
 */
const POOL = {
  connections: null,
  pipelining: 1,
  allowH2: false,
  /**
   * Keep-alive time of an idle connection if the server announces none, in ms; otherwise the margin before the
   * announced end.
   */
  keepAliveTimeout: 20_000,
  keepAliveMaxTimeout: 20_000,
  keepAliveTimeoutThreshold: 1000,
  /** Maximum size of the response headers, and of the trailers, in bytes. */
  maxHeaderSize: 64 * 1024,
} as const satisfies Pool.Options;

type OriginRequest = Pick<HttpRequest, 'url' | 'ledBy' | 'side'>;

/** Maximum number of origins whose dispatchers are kept: redirects may lead to any number of hosts and ports. */
export const ORIGINS_LIMIT = 100;

interface Kept {
  readonly made: Promise<OriginDispatcher>;
  /** Requests that have no response yet. */
  users: number;
}

/**
 * An undici `Pool` for each origin, or a `ProxyAgent`, created on first use. Beyond `ORIGINS_LIMIT`, the one that was
 * not used for the longest time is closed as soon as its responses have ended.
 */
export class Dispatchers {
  readonly timeouts: Timeouts;
  readonly #settings: OriginSettings;
  /** In the order of their last use. */
  readonly #kept = new Map<string, Kept>();
  /** Those that close. */
  readonly #leaving = new Set<Dispatcher>();
  /** Aborted on destroy, to end pending connection attempts. */
  readonly #closing = new AbortController();

  constructor(settings: OriginSettings, timeouts: Timeouts) {
    this.#settings = settings;
    this.timeouts = timeouts;
  }

  /**
   * Calls `send` with the dispatcher of the request, which takes requests until `send` settles.
   * @throws TransshipError TLS_FILE_INVALID, at each call for that origin; undici's ClientDestroyedError; what `send`
   *   throws
   */
  async use<T>(
    request: OriginRequest,
    send: (dispatcher: OriginDispatcher) => Promise<T>,
  ): Promise<T> {
    if (this.#closing.signal.aborted) throw new errors.ClientDestroyedError();
    const kept = this.#keep(request);
    kept.users++;
    try {
      return await send(await kept.made);
    } finally {
      kept.users--;
      this.#forget();
    }
  }

  /** Aborts requests in progress, and rejects new ones. */
  async destroy(): Promise<void> {
    this.#closing.abort();
    const all = await Promise.allSettled([...this.#kept.values()].map(({made}) => made));
    const made = all.flatMap((result) =>
      result.status === 'fulfilled' ? [result.value.dispatcher] : [],
    );
    await Promise.all([...made, ...this.#leaving].map((dispatcher) => dispatcher.destroy()));
  }

  #keep({url: {origin}, ledBy, side}: OriginRequest): Kept {
    const key = ledBy === undefined ? origin : `${origin} ${ledBy}`;
    let kept = this.#kept.get(key);
    if (kept === undefined) {
      const lookup = ledBy === undefined ? undefined : guardedLookup(ledBy, side);
      kept = {made: this.#make(origin, lookup), users: 0};
    }
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept;
  }

  #forget(): void {
    for (const [key, {made, users}] of this.#kept) {
      if (this.#kept.size <= ORIGINS_LIMIT) return;
      if (users > 0) continue;
      this.#kept.delete(key);
      void made.then(({dispatcher}) => this.#close(dispatcher)).catch(() => undefined);
    }
  }

  async #close(dispatcher: Dispatcher): Promise<void> {
    this.#leaving.add(dispatcher);
    try {
      await dispatcher.close();
    } finally {
      this.#leaving.delete(dispatcher);
    }
  }

  async #make(origin: string, lookup: LookupFunction | undefined): Promise<OriginDispatcher> {
    const {connectMs} = this.timeouts;
    const {signal} = this.#closing;
    const tls = origin.startsWith('https:')
      ? secureOptions(await this.#settings.connectOptions(origin))
      : {};
    const proxy = this.#settings.proxyFor(origin);
    const deliveries = {count: 0};
    if (proxy === undefined) {
      const connect = connector({tls, connectMs, signal, deliveries, lookup});
      return {dispatcher: new Pool(origin, {...POOL, connect}), proxy, deliveries};
    }
    const proxyTls = proxy.startsWith('https:')
      ? secureOptions(await this.#settings.connectOptions(new URL(proxy).origin))
      : {};
    const options = {proxy, proxyTls, tls, pool: POOL, connectMs, signal, deliveries};
    const dispatcher = proxyDispatcher(origin, options);
    return {dispatcher, proxy, deliveries};
  }
}
