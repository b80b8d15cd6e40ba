import type {HttpRequest} from './message.ts';
import {networkError} from './network-error.ts';
import {parseRetryAfter} from './retry-after.ts';

/** What was read of a body. */
export interface ReadBody {
  readonly bytes: Uint8Array;
  /** False: the body has more bytes than the limit; they were dropped. */
  readonly complete: boolean;
}

/** What an answer is made of. */
export interface AnswerData {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Returning it early closes the connection. */
  readonly body: Required<Pick<AsyncIterator<Uint8Array, undefined>, 'next' | 'return'>>;
}

/**
 * An answer whose headers are there and whose body is still on the wire. Its holder reads the body in one of three
 * ways, `chunks`, `read` or `discard`; until then a connection is taken.
 */
export class HttpAnswer {
  readonly status: number;
  /** The request that was answered, the last of a chain of redirects: its URL resolves relative ones. */
  readonly request: HttpRequest;
  /** The request was sent before and failed: the server may have carried it out then. */
  isRepeated = false;
  readonly #headers: AnswerData['headers'];
  readonly #body: AnswerData['body'];
  #read: Promise<ReadBody> | undefined;

  constructor(request: HttpRequest, data: AnswerData) {
    this.status = data.statusCode;
    this.request = request;
    this.#headers = data.headers;
    this.#body = data.body;
  }

  /** By its name in lower case; several of one name are joined by commas. */
  header(name: string): string | undefined {
    const value = this.#headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** `content-length` in bytes. */
  get length(): number | undefined {
    const value = this.header('content-length');
    return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
  }

  /**
   * The body, once. Each piece is borrowed: it may be overwritten when the next one is asked for. Ending the iteration
   * early closes the connection.
   */
  chunks(): AsyncIterable<Uint8Array> {
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => this.#next(),
        return: () => this.#body.return(),
      }),
    };
  }

  /** Reads the body into memory, `limit` bytes at most. Asked again, it gives what was read the first time. */
  read(limit: number): Promise<ReadBody> {
    this.#read ??= this.#readOnce(limit);
    return this.#read;
  }

  /** Lets the body go; a short one is read to its end, so that the connection can be used again. */
  async discard(): Promise<void> {
    // A body that breaks while nobody wants it is no failure.
    await this.read(DISCARD_LIMIT).catch(() => undefined);
  }

  async #next(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      return await this.#body.next();
    } catch (thrown) {
      throw networkError(thrown, this.request);
    }
  }

  async #readOnce(limit: number): Promise<ReadBody> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const {value: piece} = await this.#next();
      if (piece === undefined) break;
      pieces.push(Buffer.from(piece));
      length += piece.byteLength;
      if (length <= limit) continue;
      // Closes the connection.
      await this.#body.return();
      return {bytes: Buffer.concat(pieces, limit), complete: false};
    }
    const [first] = pieces;
    return {bytes: first && pieces.length === 1 ? first : Buffer.concat(pieces), complete: true};
  }
}

const DISCARD_LIMIT = 64 * 1024;

/** The answer's `Retry-After`, in ms from now. */
export function retryAfterOf(answer: HttpAnswer): number | undefined {
  return parseRetryAfter(answer.header('retry-after'), Date.now());
}
