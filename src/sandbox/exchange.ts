import type {IncomingHttpHeaders} from 'node:http';
import type {Socket} from 'node:net';
import type {Route} from './route.ts';

/** A request to the sandbox, parsed. */
export interface Exchange {
  readonly method: string;
  /** Percent-encoded, without query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly route: Route;
  /** Requests are counted from 1, in the order in which they arrive. */
  readonly number: number;
  /** `http://host`, as the client calls this server: it may stand behind a proxy. */
  readonly origin: string;
  /** Aborted when the answer was sent or the connection is gone: every wait ends then. */
  readonly signal: AbortSignal;
  /** For faults below HTTP: `resetAndDestroy`, `pause`. */
  readonly socket: Socket;
  /** The request's body, to be read once. An interceptor may put another in its place. */
  body: AsyncIterable<Uint8Array>;
}

/** Answers an exchange. */
export type Answer = (exchange: Exchange) => Promise<Reply>;

/**
 * Intercepts requests before the registry, for scripted faults. It may answer itself, change the response of `next`,
 * cut either body (`exchange.body`, `reply.body`) short, wait, or break the connection.
 */
export type Intercept = (exchange: Exchange, next: () => Promise<Reply>) => Promise<Reply>;

/** A response. A body given as a function is opened only when it is sent; HEAD sends none. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Uint8Array | (() => AsyncIterable<Uint8Array>);
}

/** An answer without a body. */
export function emptyReply(status: number, headers: Reply['headers'] = {}): Reply {
  return {status, headers: {...headers, 'content-length': '0'}};
}

export function jsonReply(status: number, value: unknown, headers: Reply['headers'] = {}): Reply {
  return bytesReply(status, Buffer.from(JSON.stringify(value)), {
    'content-type': 'application/json',
    ...headers,
  });
}

export function bytesReply(status: number, body: Uint8Array, headers: Reply['headers']): Reply {
  return {status, headers: {...headers, 'content-length': String(body.byteLength)}, body};
}

/** The codes of distribution-spec, "Error Codes", and those that registries of the distribution family add. */
export type RefusalCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'CONTENT_RANGE_INVALID'
  | 'DENIED'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'IMMUTABLE_TAG'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_REFERENCED'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'PAGINATION_NUMBER_INVALID'
  | 'PROTECTED_MANIFEST'
  | 'PROTECTED_TAG'
  | 'RESUMABLE_BLOB_UPLOAD_INVALID'
  | 'SIZE_INVALID'
  | 'TOOMANYREQUESTS'
  | 'UNAUTHORIZED'
  | 'UNKNOWN'
  | 'UNSUPPORTED';

/** One entry of an error answer. */
export interface RefusalEntry {
  readonly code: RefusalCode;
  readonly message: string;
  readonly detail?: unknown;
}

/** Thrown to refuse a request; the HTTP server sends it as the response. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reply: Reply;

  constructor(status: number, errors: readonly RefusalEntry[], headers: Reply['headers'] = {}) {
    super(errors.map(({code, message}) => `${code}: ${message}`).join(', '));
    this.reply = jsonReply(status, {errors}, headers);
  }
}

/**
 * A refusal with one entry.
 * @param detail what was wrong, for the client
 */
export function refusal(
  status: number,
  code: RefusalCode,
  message: string,
  detail?: unknown,
  headers: Reply['headers'] = {},
): Refusal {
  return new Refusal(status, [{code, message, detail}], headers);
}

/** The refusal for a method that an endpoint does not support. */
export function methodRefused({method, path}: Exchange): Refusal {
  return refusal(405, 'UNSUPPORTED', `${method} is not supported here`, path);
}
