import {errors} from 'undici';
import {type BodyEnd, BulkBody} from './bulk-body.ts';
import type {BulkConnection} from './bulk-connection.ts';
import {HeadReader} from './head-reader.ts';
import {formatRequestHead, type RequestHead} from './request-head.ts';
import type {ResponseHead} from './response-head.ts';
import {within} from './within.ts';

/** A request as it is written to a connection. */
export interface BulkRequest extends RequestHead {
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
    const connection = this.#connection;
    const unwatch = connection.watchWrites(this.#request.idleMs, () =>
      connection.destroy(new errors.HeadersTimeoutError()),
    );
    try {
      await connection.write(Buffer.from(formatRequestHead(this.#request), 'latin1'));
      if (this.#request.body) await this.#sendBody(this.#request.body);
      this.isDone = true;
    } finally {
      unwatch();
    }
  }

  async #sendBody({length, chunks}: NonNullable<BulkRequest['body']>): Promise<void> {
    let left = length;
    for await (const chunk of chunks) {
      if (this.#isStopped) return;
      left -= chunk.byteLength;
      if (left < 0) break;
      await this.#connection.write(chunk);
    }
    if (left !== 0) throw new errors.RequestContentLengthMismatchError();
  }
}

async function readHead(connection: BulkConnection, method: string): Promise<ResponseHead> {
  const reader = new HeadReader(method);
  for (;;) {
    const bytes = await connection.read();
    if (bytes === undefined) throw new errors.SocketError('other side closed');
    const {head, used} = reader.take(bytes);
    connection.unread(bytes.byteLength - used);
    if (head !== undefined) return head;
  }
}
