import type {Side} from '../model/error.ts';
import type {Lane} from './throttle.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** The body of a request; its length in bytes is always known, so chunked encoding is never used. */
export type HttpBody =
  /** `once`: a failed request is not sent again. `secret`: it contains credentials and is sent to no other origin. */
  | {
      readonly kind: 'bytes';
      readonly bytes: Uint8Array;
      readonly once?: true;
      readonly secret?: true;
    }
  /** Sent once. Whatever happens, the client ends the iteration. */
  | {
      readonly kind: 'stream';
      readonly length: number;
      readonly chunks: AsyncIterable<Uint8Array>;
    }
  /** Opened again for each attempt. */
  | {
      readonly kind: 'factory';
      readonly length: number;
      open(signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
    };

/** Size in bytes above which a body is large: such requests wait in separate lanes (see `Lane`). */
export const LARGE_BODY = 256 * 1024;

/** A request, as `HttpClient` takes it. */
export interface HttpRequest {
  readonly method: Method;
  readonly url: URL;
  /** Path and query, sent exactly as given. Default: those of `url`. */
  readonly target?: string | undefined;
  /** The side to report in errors. */
  readonly side: Side;
  /** Aborts the request and the reading of its response; both reject with the signal's reason. */
  readonly signal: AbortSignal;
  /** Once aborted, the request rejects with INTERRUPTED instead of waiting for a pause of the host. Default: never. */
  readonly stopping?: AbortSignal;
  /** Names in lower case, without `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The `authorization` header, sent only to the origin of `url`. */
  readonly authorization?: string | undefined;
  /** If `authorization` is a token of a token service: whether it was issued to a login, or to an anonymous client. */
  readonly tokenOf?: 'login' | 'anybody' | undefined;
  /** Other secret headers, sent only to the origin of `url`. Names in lower case. */
  readonly originHeaders?: Readonly<Record<string, string>> | undefined;
  readonly body?: HttpBody | undefined;
  /**
   * The host that named the URL. Names of hosts lead anywhere, so the address is looked at as well; undefined: the user
   * named it, or permits it.
   */
  readonly ledBy?: string | undefined;
  /** The queue it waits in. Default: `small`. */
  readonly lane?: Lane;
  /**
   * Reads the response body immediately, at most this many bytes, so that a broken body is a failed attempt. Pass the
   * same limit to `read`.
   */
  readonly readLimit?: number;
  /** Response timeout after the body was sent, in ms. Default: the client's. */
  readonly headersTimeoutMs?: number;
  /** Additional time, in ms, for slow operations. */
  readonly moreHeadersMs?: number;
  /** Attempts in total. Default: the policy's. */
  readonly attempts?: number;
  /** Not idempotent: sent again only if the server did not process it (429). */
  readonly changes?: boolean;
  /** Maximum total pause between attempts, in ms. Default, and upper bound: the policy's. */
  readonly budgetMs?: number;
  /** Attempts in total if the response is 500, which is often permanent. Default: the policy's. */
  readonly attemptsAt500?: number;
}

/** `GET https://host/path`, for messages: without the query, which may contain secrets. */
export function describeRequest({method, url}: Pick<HttpRequest, 'method' | 'url'>): string {
  return `${method} ${url.protocol}//${url.host}${url.pathname}`;
}

/** Whether a request with this body can be sent again. */
export function isRepeatable(body: HttpBody | undefined): boolean {
  if (body === undefined || body.kind === 'factory') return true;
  return body.kind === 'bytes' && body.once !== true;
}
