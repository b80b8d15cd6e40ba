import type {AnswerBody} from './answer-body.ts';
import {contentEncodings, decodeBody} from './content-encoding.ts';
import type {HttpRequest} from './message.ts';
import {brokenRule, networkError} from './network-error.ts';
import {parseRateLimitReset, parseRetryAfter} from './header-fields.ts';

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
  readonly body: AnswerBody;
  /** How long `read` may take, in ms. */
  readonly readMs: number;
}

/** What `content-length` says, in bytes; undefined: nothing that can be read. */
export function contentLength(headers: AnswerData['headers']): number | undefined {
  const value = headers['content-length'];
  return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** Memory that `chunks` reads into, in bytes: the fewer pieces, the less work. */
const CHUNK = 1024 * 1024;

/** Memory that `read` begins with where the length is not known, in bytes. */
const FIRST_READ = 8 * 1024;

/**
 * An answer whose headers are there and whose body is still on the wire. Its holder reads the body in one of four
 * ways, `readInto`, `chunks`, `read` or `discard`; until then a connection is taken.
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
  /** The request was sent before and failed: the server may have carried it out then. */
  isRepeated = false;
  readonly #headers: AnswerData['headers'];
  readonly #body: AnswerBody;
  readonly #readMs: number;
  /** The body as it came, and as it was meant. */
  #raw: Promise<ReadBody> | undefined;
  #read: Promise<ReadBody> | undefined;

  constructor(request: HttpRequest, data: AnswerData) {
    this.status = data.statusCode;
    this.request = request;
    this.#headers = data.headers;
    this.#body = data.body;
    this.#readMs = data.readMs;
    this.retryAfterMs =
      parseRetryAfter(this.header('retry-after'), Date.now()) ??
      (this.status === 429
        ? parseRateLimitReset(
            // Docker Hub's API (docs.docker.com/reference/api/hub/latest, "Rate Limiting").
            this.header('ratelimit-reset') ?? this.header('x-retry-after'),
            Date.now(),
          )
        : undefined);
  }

  /** By its name in lower case; several of one name are joined by commas. */
  header(name: string): string | undefined {
    const value = this.#headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** `content-length` in bytes. */
  get length(): number | undefined {
    return contentLength(this.#headers);
  }

  /**
   * Waits for the next bytes of the body, and has them put into the caller's memory, which is not to be touched until
   * then.
   * @param memory at least one byte
   * @returns how many there are; 0: the body is over
   * @throws TransshipError
   */
  async readInto(memory: Uint8Array): Promise<number> {
    try {
      return await this.#body.readInto(memory);
    } catch (thrown) {
      throw networkError(thrown, this.request);
    }
  }

  /** Ends the reading. The connection is closed, unless all of the body has come. */
  cancel(): void {
    this.#body.cancel();
  }

  /**
   * The body, once. Each piece is borrowed: it is overwritten when the next one is asked for. Ending the iteration early
   * closes the connection.
   */
  chunks(): AsyncIterable<Uint8Array> {
    let memory: Buffer | undefined;
    return {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          memory ??= Buffer.allocUnsafe(Math.min(Math.max(this.length ?? CHUNK, 1), CHUNK));
          const count = await this.readInto(memory);
          return count > 0
            ? {done: false, value: memory.subarray(0, count)}
            : {done: true, value: undefined};
        },
        return: () => {
          this.cancel();
          return Promise.resolve({done: true, value: undefined});
        },
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

  /**
   * Reads content whose size is known. A server may have encoded it although it was not asked to (it says so), or say so of
   * content that is encoded by itself: what has the size is the content.
   * @param limit bytes of the body as it comes, at most
   */
  async readSized(size: number, limit: number): Promise<ReadBody> {
    this.#raw ??= this.#readOnce(limit);
    const raw = await this.#raw;
    return raw.complete && raw.bytes.byteLength === size ? raw : await this.read(limit);
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

  async #readOnce(limit: number): Promise<ReadBody> {
    if (this.#body.isOver) return {bytes: new Uint8Array(), complete: true};
    const timer = setTimeout(() => this.#body.fail(brokenRule('BODY_TOO_SLOW')), this.#readMs);
    try {
      return await this.#readAll(limit);
    } finally {
      clearTimeout(timer);
    }
  }

  async #readAll(limit: number): Promise<ReadBody> {
    // One byte more than expected, to see that there is none.
    let memory = Buffer.allocUnsafe(Math.min(limit, this.length ?? FIRST_READ) + 1);
    let length = 0;
    for (;;) {
      const count = await this.readInto(memory.subarray(length));
      if (count === 0) break;
      length += count;
      if (length > limit) {
        this.cancel();
        return {bytes: memory.subarray(0, limit), complete: false};
      }
      if (length < memory.byteLength) continue;
      const grown = Buffer.allocUnsafe(Math.min(limit + 1, 2 * length));
      grown.set(memory);
      memory = grown;
    }
    // The rest of the memory would be kept as long as the bytes are.
    const isTight = 2 * length > memory.byteLength;
    return {
      bytes: isTight ? memory.subarray(0, length) : Buffer.from(memory.subarray(0, length)),
      complete: true,
    };
  }
}

const DISCARD_LIMIT = 64 * 1024;
