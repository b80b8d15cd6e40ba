import type {ResponseBody} from './response-body.ts';
import {contentEncodings, decodeBody} from './content-encoding.ts';
import type {HttpRequest} from './request.ts';
import {protocolError, networkError} from './network-error.ts';
import {parseRateLimitReset, parseRetryAfter} from './header-fields.ts';

/** The result of reading a body. */
export interface ReadBody {
  readonly bytes: Uint8Array;
  /** False: the body has more bytes than the limit; they were dropped. */
  readonly complete: boolean;
}

/** The parts of a response. */
export interface ResponseData {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: ResponseBody;
  /** How long `read` may take, in ms. */
  readonly readMs: number;
  /** Redacts the secrets of the session. Default: none. */
  readonly redact?: (text: string) => string;
}

/** The value of `content-length`, in bytes; undefined: absent or invalid. */
export function contentLength(headers: ResponseData['headers']): number | undefined {
  const value = headers['content-length'];
  return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

/** Size of the buffer that `chunks` reads into, in bytes. Larger chunks cost less overhead. */
const CHUNK = 1024 * 1024;

/** Initial buffer size of `read` if the length is unknown, in bytes. */
const FIRST_READ = 8 * 1024;

/**
 * A response whose headers were received and whose body has not been read. The caller must consume the body with
 * `readInto`, `chunks`, `read` or `discard`; until then, it occupies a connection.
 */
export class HttpResponse {
  readonly status: number;
  /** The request that was answered, the last of a chain of redirects: its URL resolves relative ones. */
  readonly request: HttpRequest;
  /**
   * How long to wait before the next request to the host, in ms: the time that the host states (`Retry-After`, or the
   * end of its rate limit's period), or, for a 429 without such a header, the client's own pause.
   */
  retryAfterMs: number | undefined;
  /** Whether the host asked for that pause. */
  readonly isPauseAsked: boolean;
  /** Set by the client: the retries of the request are exhausted. */
  exhausted = false;
  /** The request was sent before and failed: the server may have processed it then. */
  isRepeated = false;
  readonly #headers: ResponseData['headers'];
  readonly #body: ResponseBody;
  readonly #readMs: number;
  readonly #redact: (text: string) => string;
  /** The body as received, and decoded. */
  #raw: Promise<ReadBody> | undefined;
  #read: Promise<ReadBody> | undefined;

  constructor(request: HttpRequest, data: ResponseData) {
    this.status = data.statusCode;
    this.request = request;
    this.#headers = data.headers;
    this.#body = data.body;
    this.#readMs = data.readMs;
    this.#redact = data.redact ?? ((text) => text);
    this.retryAfterMs =
      parseRetryAfter(this.header('retry-after'), Date.now()) ??
      (this.status === 429
        ? parseRateLimitReset(
            // Docker Hub's API (docs.docker.com/reference/api/hub/latest, "Rate Limiting").
            this.header('ratelimit-reset') ?? this.header('x-retry-after'),
            Date.now(),
          )
        : undefined);
    this.isPauseAsked = this.retryAfterMs !== undefined;
  }

  /** The value of a header, by its name in lower case; several headers of one name are joined by commas. */
  header(name: string): string | undefined {
    const value = this.#headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** Redacts secrets in a text of the server, which must be done before a part of it is quoted. */
  redact(text: string): string {
    return this.#redact(text);
  }

  /** `content-length` in bytes. */
  get length(): number | undefined {
    return contentLength(this.#headers);
  }

  /**
   * Reads the next bytes of the body into the caller's buffer, which the caller must not touch until this settles.
   * @param memory at least one byte
   * @returns the number of bytes; 0: end of the body
   * @throws TransshipError
   */
  async readInto(memory: Uint8Array): Promise<number> {
    try {
      return await this.#body.readInto(memory);
    } catch (thrown) {
      throw networkError(thrown, this.request);
    }
  }

  /** Ends the reading. The connection is closed, unless the whole body was received. */
  cancel(): void {
    this.#body.cancel();
  }

  /**
   * The body, once. Each chunk is borrowed: it is overwritten when the next one is requested. Ending the iteration
   * early closes the connection.
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
   * Whether the server declares the body encoded (`Content-Encoding`); `length` then is not the length of the content.
   * `read` decodes. `chunks` does not, because some storages declare `gzip` for layers that are gzip files themselves.
   */
  get isEncoded(): boolean {
    return this.#encodings.length > 0;
  }

  /**
   * Reads the body into memory and decodes it; at most `limit` bytes before and after decoding. Further calls return
   * the same result.
   */
  read(limit: number): Promise<ReadBody> {
    this.#read ??= this.#decoded(limit);
    return this.#read;
  }

  /**
   * Reads content of a known size. A server may encode it without being asked to, or declare an encoding for content
   * that is itself compressed: the form with the known size is the content.
   * @param limit maximum bytes of the body as received
   */
  async readSized(size: number, limit: number): Promise<ReadBody> {
    this.#raw ??= this.#readOnce(limit);
    const raw = await this.#raw;
    return raw.complete && raw.bytes.byteLength === size ? raw : await this.read(limit);
  }

  /** Discards the body. A short body is read to its end, so that the connection can be reused. */
  async discard(): Promise<void> {
    // An error in a discarded body is not a failure.
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
    const timer = setTimeout(() => this.#body.fail(protocolError('BODY_TOO_SLOW')), this.#readMs);
    try {
      return await this.#readAll(limit);
    } finally {
      clearTimeout(timer);
    }
  }

  async #readAll(limit: number): Promise<ReadBody> {
    // One byte more than expected, to detect excess data.
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
    // A view would keep the whole buffer alive.
    const isTight = 2 * length > memory.byteLength;
    return {
      bytes: isTight ? memory.subarray(0, length) : Buffer.from(memory.subarray(0, length)),
      complete: true,
    };
  }
}

const DISCARD_LIMIT = 64 * 1024;
