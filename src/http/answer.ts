import {contentEncodings, decodeBody} from './content-encoding.ts';
import type {HttpRequest} from './message.ts';
import {networkError} from './network-error.ts';
import {parseRateLimitReset, parseRetryAfter} from './retry-after.ts';

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
  /**
   * How long the host is to be left alone, in ms: what it asks for (`Retry-After`, or the end of a rate limit's period),
   * and where a 429 says nothing, for how long the client leaves it alone.
   */
  retryAfterMs: number | undefined;
  /** Set by the client: the request was sent again as often as is of use. */
  exhausted = false;
  readonly #headers: AnswerData['headers'];
  readonly #body: AnswerData['body'];
  /** The body as it came, and as it was meant. */
  #raw: Promise<ReadBody> | undefined;
  #read: Promise<ReadBody> | undefined;

  constructor(request: HttpRequest, data: AnswerData) {
    this.status = data.statusCode;
    this.request = request;
    this.#headers = data.headers;
    this.#body = data.body;
    this.retryAfterMs =
      parseRetryAfter(this.header('retry-after'), Date.now()) ??
      (this.status === 429
        ? parseRateLimitReset(this.header('ratelimit-reset'), Date.now())
        : undefined);
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

  /**
   * Whether the server says that it encoded the body (`Content-Encoding`): its `length` is not that of the content then.
   * `read` decodes; `chunks` does not, as storages say `gzip` of layers that are gzip files themselves.
   */
  get isEncoded(): boolean {
    return this.#encodings.length > 0;
  }

  /**
   * Reads the body into memory and decodes it, `limit` bytes at most before and after. Asked again, it gives what was read
   * the first time.
   */
  read(limit: number): Promise<ReadBody> {
    this.#read ??= this.#decoded(limit);
    return this.#read;
  }

  /** Lets the body go; a short one is read to its end, so that the connection can be used again. */
  async discard(): Promise<void> {
    // A body that breaks while nobody wants it is no failure.
    this.#raw ??= this.#readOnce(DISCARD_LIMIT);
    await this.#raw.catch(() => undefined);
  }

  get #encodings(): readonly string[] {
    return contentEncodings(this.header('content-encoding'));
  }

  async #decoded(limit: number): Promise<ReadBody> {
    this.#raw ??= this.#readOnce(limit);
    const raw = await this.#raw;
    if (!raw.complete || !this.isEncoded) return raw;
    const bytes = await decodeBody(raw.bytes, this.#encodings, limit);
    return bytes ? {bytes, complete: true} : {bytes: new Uint8Array(), complete: false};
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
