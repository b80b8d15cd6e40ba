import type {IncomingHttpHeaders} from 'node:http';
import type {Socket} from 'node:net';
import type {RepositoryPath} from '../model/reference.ts';
import type {Route} from './route.ts';

/** A request to the sandbox, parsed. */
export interface Exchange {
  readonly method: string;
  /** Percent-encoded, without query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly route: Route;
  /** The position of the request in the order of arrival, from 1. */
  readonly number: number;
  /** `http://host` as the client addresses this server, which may be behind a proxy. */
  readonly origin: string;
  /** Aborted once the response is sent or the connection is closed; ends every wait. */
  readonly signal: AbortSignal;
  /** For faults below HTTP: `resetAndDestroy`, `pause`. */
  readonly socket: Socket;
  /** The request's body; can be read once. An interceptor may replace it. */
  body: AsyncIterable<Uint8Array>;
}

/** Produces the response to a request. */
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

/** A response without a body. 204 has no Content-Length (RFC 9110, 8.6). */
export function emptyReply(status: number, headers: Reply['headers'] = {}): Reply {
  return {status, headers: status === 204 ? headers : {...headers, 'content-length': '0'}};
}

export function jsonReply(status: number, value: unknown, headers: Reply['headers'] = {}): Reply {
  return bytesReply(status, Buffer.from(JSON.stringify(value)), {
    'content-type': 'application/json',
    ...headers,
  });
}

export function textReply(status: number, text: string, headers: Reply['headers'] = {}): Reply {
  return bytesReply(status, Buffer.from(text), {
    'content-type': 'text/plain; charset=utf-8',
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
  | 'IMMUTABLE_TAG'
  | 'INVALID_QUERY_PARAMETER_TYPE'
  | 'INVALID_QUERY_PARAMETER_VALUE'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_REFERENCED'
  | 'MANIFEST_UNKNOWN'
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

/** One entry of an error response. */
export interface RefusalEntry {
  readonly code: RefusalCode;
  readonly message: string;
  readonly detail?: unknown;
}

/** Thrown to refuse a request; the HTTP server sends its reply. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reply: Reply;

  constructor(reply: Reply) {
    super(`the request was refused with ${reply.status}`);
    this.reply = reply;
  }
}

/**
 * A refusal with one entry.
 * @param detail further information for the client
 */
export function refusal(
  status: number,
  code: RefusalCode,
  message: string,
  detail?: unknown,
  headers: Reply['headers'] = {},
): Refusal {
  return refusals(status, [{code, message, detail}], headers);
}

export function refusals(
  status: number,
  errors: readonly RefusalEntry[],
  headers: Reply['headers'] = {},
): Refusal {
  return new Refusal(jsonReply(status, {errors}, headers));
}

/**
 * The refusal for a method that an endpoint does not support (gorilla/handlers, `MethodHandler`, with which registries
 * of the distribution family dispatch).
 * @param allow the methods that it supports
 */
export function methodRefused(allow: string): Refusal {
  return new Refusal(textReply(405, 'Method not allowed\n', {allow}));
}

/** The refusal for a repository that does not exist. */
export function nameUnknown(name: RepositoryPath): Refusal {
  return refusal(404, 'NAME_UNKNOWN', 'repository name not known to registry', {name});
}

/** The refusal for a path that no route matches (Go's `http.NotFound`). */
export function pageNotFound(): Refusal {
  return new Refusal(textReply(404, '404 page not found\n'));
}
