import type {Route} from './route.ts';

/** One request that was answered, or whose connection broke. No header that may hold a secret is kept. */
export interface LoggedRequest {
  /** As in `Exchange.number`. */
  readonly number: number;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly kind: Route['kind'];
  /** Undefined: no answer was sent. */
  readonly status: number | undefined;
  /** Bytes of the request's body that were read, and of the answer's body that were given to the connection. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** The Range header of a download. */
  readonly range: string | undefined;
  /** The Content-Range header of an upload. */
  readonly contentRange: string | undefined;
  /** What went wrong inside the sandbox or with the connection. */
  readonly failure: string | undefined;
}

/**
 * The latest requests, in the order in which they ended. An answer without a large body is in the log before the client
 * has it; a large one may come a moment later.
 */
export class RequestLog {
  readonly #limit: number;
  #entries: LoggedRequest[] = [];

  /** @param limit how many requests are kept at least; never more than twice as many */
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
