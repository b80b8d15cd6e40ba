import {subscribe, unsubscribe} from 'node:diagnostics_channel';
import type {Socket} from 'node:net';
import type {Dispatcher} from 'undici';
import type {TransshipError} from '../model/error.ts';
import type {HttpRequest, Method} from './request.ts';
import {redactUrl, redactUrlsIn} from './redaction.ts';

/** Headers by their names in lower case, with `***` in place of credentials. */
export type ShownHeaders = Readonly<Record<string, string>>;

/**
 * An event of the exchange between the client and a server, for `--debug`. URLs and headers contain no credentials, but
 * servers may quote some elsewhere: pass all text through a `Redactor`.
 */
export type HttpEvent =
  | {
      readonly type: 'http-request';
      /** The number of the request, from 1, for this client. Each attempt and each hop of a redirect counts. */
      readonly id: number;
      readonly method: Method;
      readonly url: string;
      /** The host of the proxy. */
      readonly proxy?: string;
      readonly headers: ShownHeaders;
    }
  | {
      readonly type: 'http-response';
      readonly id: number;
      readonly status: number;
      /** From the request to the headers of the response, in ms, including the time to connect, if any. */
      readonly afterMs: number;
      /** The address of the server or proxy. Absent: the connection is already closed. */
      readonly address?: string;
      /** Whether it is the first request of its connection. */
      readonly isNew?: boolean;
      readonly headers: ShownHeaders;
    }
  | {
      readonly type: 'http-end';
      readonly id: number;
      /** Bytes of the body, as received. */
      readonly bytes: number;
      /** From the request to the end of the response, in ms. */
      readonly afterMs: number;
      /** The first bytes of an error response. */
      readonly body?: string;
      /** `body` is incomplete. */
      readonly isCut?: true;
      /** Why the response is incomplete. */
      readonly error?: string;
    }
  | {
      /** A request is sent again after a pause. */
      readonly type: 'http-retry';
      readonly method: Method;
      readonly url: string;
      readonly attempt: number;
      readonly delayMs: number;
      readonly reason: string;
    };

/** Receives the events of a client. */
export type HttpObserver = (event: HttpEvent) => void;

/** Maximum bytes of an error response that are shown. */
const BODY_LIMIT = 16 * 1024;

/** Reports the exchanges of one client to an observer. */
export class ExchangeWatch implements Disposable {
  readonly #observe: HttpObserver;
  #count = 0;
  /** The exchange whose request is being written: undici publishes its connection on a channel within the same call. */
  #starting: WatchedHandler | undefined;
  readonly #onHeaders = (message: unknown): void => {
    this.#starting?.sentOver((message as {readonly socket: Socket}).socket);
    this.#starting = undefined;
  };

  constructor(observe: HttpObserver) {
    this.#observe = observe;
    subscribe(SENT, this.#onHeaders);
  }

  [Symbol.dispose](): void {
    unsubscribe(SENT, this.#onHeaders);
  }

  /**
   * Reports the request, and wraps the handler to report the response.
   * @param proxy the URL of the proxy, if any
   * @param headers as sent
   */
  watch(
    handler: Dispatcher.DispatchHandler,
    request: HttpRequest,
    proxy: string | undefined,
    headers: Readonly<Record<string, string>>,
  ): Dispatcher.DispatchHandler {
    this.#count += 1;
    const {method, url} = request;
    this.#observe({
      type: 'http-request',
      id: this.#count,
      method,
      url: redactUrl(url),
      ...(proxy === undefined ? {} : {proxy: new URL(proxy).host}),
      headers: shownRequestHeaders(headers),
    });
    return new WatchedHandler(handler, this.#count, url, this.#observe, (self) => {
      this.#starting = self;
    });
  }

  retrying({method, url}: HttpRequest, attempt: number, ms: number, error: TransshipError): void {
    const delayMs = Math.round(ms);
    const reason = error.message;
    this.#observe({type: 'http-retry', method, url: redactUrl(url), attempt, delayMs, reason});
  }
}

/** @see https://undici.nodejs.org/#/docs/api/DiagnosticsChannel */
const SENT = 'undici:client:sendHeaders';

/** Reports a response while passing it on to the handler. */
class WatchedHandler implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #id: number;
  readonly #url: URL;
  readonly #observe: HttpObserver;
  readonly #starts: (self: WatchedHandler) => void;
  readonly #began = performance.now();
  #connection: {readonly address: string; readonly isNew: boolean} | undefined;
  #bytes = 0;
  /** The first bytes of an error response; undefined: another response. */
  #body: Buffer[] | undefined;
  #kept = 0;

  constructor(
    handler: Dispatcher.DispatchHandler,
    id: number,
    url: URL,
    observe: HttpObserver,
    starts: (self: WatchedHandler) => void,
  ) {
    this.#handler = handler;
    this.#id = id;
    this.#url = url;
    this.#observe = observe;
    this.#starts = starts;
  }

  sentOver({remoteAddress, remotePort, bytesWritten}: Socket): void {
    if (remoteAddress === undefined) return;
    const host = remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress;
    this.#connection = {address: `${host}:${remotePort ?? ''}`, isNew: bytesWritten === 0};
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#starts(this);
    this.#handler.onRequestStart?.(controller, context);
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
    message?: string,
  ): void {
    if (status >= 400 && headers['content-encoding'] === undefined) this.#body = [];
    this.#observe({
      type: 'http-response',
      id: this.#id,
      status,
      afterMs: this.#elapsed(),
      ...this.#connection,
      headers: shownResponseHeaders(headers, this.#url),
    });
    this.#handler.onResponseStart?.(controller, status, {...headers}, message);
  }

  onResponseData(controller: Dispatcher.DispatchController, piece: Buffer): void {
    this.#bytes += piece.byteLength;
    if (this.#body !== undefined && this.#kept < BODY_LIMIT) {
      // The piece is valid only during this call.
      const kept = Buffer.from(piece.subarray(0, BODY_LIMIT - this.#kept));
      this.#kept += kept.byteLength;
      this.#body.push(kept);
    }
    this.#handler.onResponseData?.(controller, piece);
  }

  onResponseEnd(
    controller: Dispatcher.DispatchController,
    trailers: Record<string, string | string[] | undefined>,
  ): void {
    this.#ended();
    this.#handler.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.#ended(error);
    this.#handler.onResponseError?.(controller, error);
  }

  #ended(error?: Error): void {
    const body = redactUrlsIn(Buffer.concat(this.#body ?? []).toString());
    this.#observe({
      type: 'http-end',
      id: this.#id,
      bytes: this.#bytes,
      afterMs: this.#elapsed(),
      ...(body === '' ? {} : {body}),
      ...(this.#bytes > this.#kept && body !== '' ? {isCut: true} : {}),
      ...(error === undefined ? {} : {error: redactUrlsIn(error.message || error.name)}),
    });
  }

  #elapsed(): number {
    return Math.round(performance.now() - this.#began);
  }
}

const REQUEST_HEADERS = new Set([
  'accept',
  'content-length',
  'content-range',
  'content-type',
  'range',
]);

/** Many headers may contain credentials (`private-token`, `job-token`), so the values of unknown ones are hidden. */
function shownRequestHeaders(headers: Readonly<Record<string, string>>): ShownHeaders {
  const shown: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (REQUEST_HEADERS.has(name)) shown[name] = value;
    else if (name === 'authorization') shown[name] = `${value.split(' ')[0] ?? ''} ***`;
    else if (!UNSHOWN_REQUEST_HEADERS.has(name)) shown[name] = '***';
  }
  return shown;
}

/** Omitted, because they never change. */
const UNSHOWN_REQUEST_HEADERS = new Set(['accept-encoding', 'user-agent']);

const RESPONSE_HEADERS = new Set([
  'age',
  'cf-ray',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'docker-content-digest',
  'link',
  'location',
  'oci-chunk-min-length',
  'oci-filters-applied',
  'oci-subject',
  'range',
  'retry-after',
  'server',
  'transfer-encoding',
  'via',
  'www-authenticate',
  'x-cache',
  'x-request-id',
]);
const RESPONSE_PREFIXES = ['gitlab-container-registry-', 'ratelimit-', 'x-ratelimit-'];

function shownResponseHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  url: URL,
): ShownHeaders {
  const shown: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    const text = Array.isArray(value) ? value.join(', ') : value;
    if (name === 'set-cookie') shown[name] = '***';
    else if (RESPONSE_HEADERS.has(name) || RESPONSE_PREFIXES.some((one) => name.startsWith(one)))
      shown[name] = shownValue(name, text, url);
  }
  return shown;
}

/** The value of a header. URLs of other hosts may contain signatures in their queries. */
function shownValue(name: string, text: string, url: URL): string {
  if (name === 'location') {
    const to = URL.parse(text, url.href);
    return to === null ? redactUrl(text) : redactUrl(to);
  }
  if (name === 'link')
    return text.replaceAll(/<([^>]*)>/g, (_, to: string) => {
      const next = URL.parse(to, url.href);
      return `<${redactUrl(next ?? to)}>`;
    });
  return redactUrlsIn(text);
}
