import {errors} from 'undici';
import {type BodyEnd, BulkBody} from './bulk-body.ts';
import type {BulkConnection} from './bulk-connection.ts';
import {HEAD_LIMIT, notHttp, parseResponseHead, type ResponseHead} from './response-head.ts';
import {within} from './within.ts';

/** A request as it is written to a connection. */
export interface BulkRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** All of them, names and values as they are to be sent. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: {
    readonly length: number;
    readonly chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  };
  readonly signal: AbortSignal;
  /** For the answer, once the body is sent, in ms. */
  readonly headersMs: number;
  /** How long nothing of either body may move, in ms. */
  readonly idleMs: number;
}

export interface BulkAnswer {
  readonly statusCode: number;
  readonly headers: ResponseHead['headers'];
  readonly body: BulkBody;
}

/**
 * Sends one request over a connection (RFC 9112). An answer that comes while the body is on its way ends the sending.
 * A piece of the body is asked for when the one before is with the system, so pieces may be borrowed.
 * @param released told once whether the connection can take another request
 * @throws the errors of Node and undici, as `networkError` understands them; what the body throws
 */
export async function exchange(
  connection: BulkConnection,
  request: BulkRequest,
  released: (end: BodyEnd) => void,
): Promise<BulkAnswer> {
  const {signal, headersMs, idleMs} = request;
  let body: BulkBody | undefined;
  // What was given away already is of use, whatever becomes of the rest.
  const abort = (): void => {
    if (body?.isComplete !== true) connection.destroy();
  };
  const end = (how: BodyEnd): void => {
    signal.removeEventListener('abort', abort);
    released(how);
  };
  try {
    signal.throwIfAborted();
    signal.addEventListener('abort', abort, {once: true});
    const answering = readHead(connection, request.method);
    // Nobody waits for it where sending fails first.
    answering.catch(() => undefined);
    const sender = new Sender(connection, request);
    await Promise.race([sender.done, answering]);
    sender.stop();
    const {
      status,
      headers,
      body: framing,
      keepsAlive,
    } = await within(headersMs, answering, () =>
      connection.destroy(new errors.HeadersTimeoutError()),
    );
    const isReusable = keepsAlive && sender.isDone;
    body = new BulkBody(connection, framing, idleMs, (how) => end(isReusable ? how : 'broken'));
    return {statusCode: status, headers, body};
  } catch (error) {
    end('broken');
    throw error;
  }
}

/** Writes a request. */
class Sender {
  /** Rejects with what broke the connection, or with what the body throws. */
  readonly done: Promise<void>;
  isDone = false;
  readonly #connection: BulkConnection;
  readonly #request: BulkRequest;
  #isStopped = false;

  constructor(connection: BulkConnection, request: BulkRequest) {
    this.#connection = connection;
    this.#request = request;
    this.done = this.#send();
    // After an early answer nobody waits for it.
    this.done.catch(() => undefined);
  }

  /** Sends no more. The body is ended as soon as it gives what it was asked for. */
  stop(): void {
    this.#isStopped = true;
  }

  async #send(): Promise<void> {
    await this.#write(formatHead(this.#request));
    if (this.#request.body) await this.#sendBody(this.#request.body);
    this.isDone = true;
  }

  async #sendBody({length, chunks}: NonNullable<BulkRequest['body']>): Promise<void> {
    let left = length;
    for await (const chunk of chunks) {
      if (this.#isStopped) return;
      left -= chunk.byteLength;
      if (left < 0) break;
      await this.#write(chunk);
    }
    if (left !== 0) throw new errors.RequestContentLengthMismatchError();
  }

  #write(bytes: Uint8Array | string): Promise<void> {
    return within(this.#request.idleMs, this.#connection.write(bytes), () =>
      this.#connection.destroy(new errors.HeadersTimeoutError()),
    );
  }
}

/** Reads up to the end of the head of the final answer; those before it (1xx) tell nothing that we need. */
async function readHead(connection: BulkConnection, method: string): Promise<ResponseHead> {
  let head = Buffer.alloc(0);
  while (head.length < HEAD_LIMIT) {
    const bytes = await connection.read();
    if (bytes === undefined) throw new errors.SocketError('other side closed');
    const before = head.length;
    head = Buffer.concat([head, bytes.subarray(0, HEAD_LIMIT)]);
    const end = head.indexOf(END_OF_HEAD);
    if (end < 0) continue;
    connection.unread(bytes.byteLength - (end + END_OF_HEAD.length - before));
    const parsed = parseResponseHead(head.toString('latin1', 0, end), method);
    if (parsed.status === 101) throw notHttp('HPE_INVALID_CONSTANT', 'a switch of protocols');
    if (parsed.status >= 200) return parsed;
    head = Buffer.alloc(0);
  }
  throw notHttp('HPE_HEADER_OVERFLOW', 'the head has no end');
}

/** What a field value must not contain, RFC 9110 §5.5: control characters but tab, and what is no single byte. */
// oxlint-disable-next-line no-control-regex
const NOT_IN_A_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const END_OF_HEAD = '\r\n\r\n';

function formatHead({method, target, headers, body}: BulkRequest): string {
  const lines = Object.entries(headers).map(([name, value]) => {
    // A line end in a value would begin a header that nobody meant. Not `validateHeaderValue` of node:http: to import
    // that module loads Node's own undici, for its WebSocket, which takes 30 ms.
    if (NOT_IN_A_VALUE.test(value)) throw new errors.InvalidArgumentError(`invalid ${name} header`);
    return `${name}: ${value}\r\n`;
  });
  const length = body ? `content-length: ${body.length}\r\n` : '';
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}${length}\r\n`;
}
