import type {Socket} from 'node:net';
import {errors} from 'undici';
import {closedByOther, type Dial, untilReady} from './dial.ts';
import type {Exchange, Line} from './exchange.ts';
import {Watch} from './watch.ts';

/** Where all connections read to: what came is passed on before the next of them reads. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** An idle connection is kept so long, in ms, where the server names no time of its own. */
export const KEEP_ALIVE_MS = 20_000;

/** Where the server names a time after which it closes idle connections, ours end so much earlier, in ms. */
const MARGIN_MS = 1000;

/** Whom a connection tells what becomes of it. */
export interface ConnectionOwner {
  /** An answer has ended; it may be that it can take another request. */
  answered(connection: OriginConnection): void;
  /** It is of no more use. */
  closed(connection: OriginConnection): void;
}

/** How a connection is to be opened. */
export interface Opening {
  readonly dial: Dial;
  /** How long it may take, in ms. */
  readonly connectMs: number;
  readonly signal: AbortSignal;
  /** Connected already, to be used in place of a new connection. */
  readonly over: Socket | undefined;
}

/** What is sent over a connection. */
export interface Outgoing {
  /** The lines before the body, a byte for each character. */
  readonly head: string;
  readonly body: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  /** Of the body, in bytes. */
  readonly length: number;
  /** For the answer, once the body is sent, and for a body that does not move, in ms. */
  readonly headersMs: number;
  /** Between two pieces of the answer's body, in ms. */
  readonly idleMs: number;
}

/**
 * A connection that carries small requests, one at a time. What it reads is passed on at once, and it holds no memory
 * for it, so that many of them cost little.
 */
export class OriginConnection implements Line {
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #watch = new Watch();
  /** What is under way. */
  #exchange: Exchange | undefined;
  #headersMs = 0;
  #idleMs = 0;
  #isSent = false;
  #hasAnswered = false;
  #isClosed = false;

  private constructor({dial, over}: Opening, owner: ConnectionOwner) {
    this.#owner = owner;
    const callback = (count: number) => this.#arrived(READ_BUFFER.subarray(0, count));
    this.#socket = dial.open({buffer: READ_BUFFER, callback}, over);
    this.#socket.on('error', (error) => this.destroy(error));
    this.#socket.on('end', () => this.#ended());
    this.#socket.on('close', () => this.#ended());
  }

  /** @throws the errors of Node and undici, as `networkError` understands them; the signal's reason */
  static async open(opening: Opening, owner: ConnectionOwner): Promise<OriginConnection> {
    const {dial, connectMs, signal, over} = opening;
    // What it was to go over may have been waited for: nothing is begun any more.
    if (signal.aborted) {
      over?.destroy();
      throw signal.reason;
    }
    const connection = new OriginConnection(opening, owner);
    try {
      await untilReady(connection.#socket, dial, connectMs, signal);
      // It may have been closed since.
      if (connection.isClosed) throw closedByOther(connection.#socket);
    } catch (error) {
      connection.destroy();
      throw error;
    }
    connection.#keep(KEEP_ALIVE_MS);
    return connection;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Sends a request and reads its answer; nothing else may be under way. */
  send({head, body, length, headersMs, idleMs}: Outgoing, exchange: Exchange): void {
    this.#exchange = exchange;
    this.#headersMs = headersMs;
    this.#idleMs = idleMs;
    this.#isSent = body === undefined || body instanceof Uint8Array;
    exchange.comesOver(this);
    this.#watchHead();
    if (!(body instanceof Uint8Array)) {
      this.#socket.write(head, 'latin1');
      if (body !== undefined) void this.#sendPieces(body, length, exchange);
      return;
    }
    this.#socket.cork();
    this.#socket.write(head, 'latin1');
    this.#socket.write(body);
    this.#socket.uncork();
  }

  pause(): void {
    this.#watch.stop();
    this.#socket.pause();
  }

  resume(): void {
    this.#watchBody();
    this.#socket.resume();
  }

  /** Ends it at once, and what is under way with `error`. */
  destroy(error: Error = new errors.SocketError('the connection was closed on this side')): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch.end();
    this.#socket.destroy();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#owner.closed(this);
    exchange?.fail(error);
  }

  /** @returns false: no more for now */
  #arrived(bytes: Uint8Array): boolean {
    const exchange = this.#exchange;
    if (exchange === undefined) {
      this.destroy();
      return true;
    }
    try {
      const used = exchange.take(bytes);
      // The handler may have broken it off.
      if (this.#exchange !== exchange) return true;
      if (exchange.isOver) this.#finish(exchange, used === bytes.byteLength);
      else if (exchange.head !== undefined && !exchange.paused) this.#watchBody();
    } catch (error) {
      this.destroy(exchange.head === undefined ? this.#unasked(error) : (error as Error));
    }
    return this.#exchange?.paused !== true;
  }

  /** @param isClean nothing came that belongs to no answer */
  #finish(exchange: Exchange, isClean: boolean): void {
    this.#exchange = undefined;
    this.#watch.stop();
    // Nobody asks for more of an answer that is over.
    if (exchange.paused) this.#socket.resume();
    this.#hasAnswered = true;
    const keepMs = isClean && this.#isSent ? keepsFor(exchange) : 0;
    // Before the end is told, so that it is known of when the next request is sent.
    if (keepMs > 0) {
      this.#keep(keepMs);
      this.#owner.answered(this);
    } else {
      this.destroy();
    }
    exchange.end();
  }

  #ended(): void {
    const exchange = this.#exchange;
    if (exchange?.head?.body.kind === 'close') this.#finish(exchange, false);
    else this.destroy(closedByOther(this.#socket));
  }

  /** After an answer, what is none belongs to that one: another connection may do. */
  #unasked(error: unknown): Error {
    if (!this.#hasAnswered) return error as Error;
    return new errors.SocketError('something came that nobody asked for');
  }

  #keep(ms: number): void {
    this.#watch.start(ms, () => this.destroy());
  }

  #watchHead(): void {
    this.#watch.start(this.#headersMs, () => this.destroy(new errors.HeadersTimeoutError()));
  }

  #watchBody(): void {
    this.#watch.start(this.#idleMs, () => this.destroy(new errors.BodyTimeoutError()));
  }

  /** A piece is asked for when the one before is with the system. How long it takes is for who gives it to watch. */
  async #sendPieces(
    pieces: AsyncIterable<Uint8Array>,
    length: number,
    exchange: Exchange,
  ): Promise<void> {
    /** The answer came early, or the connection broke. */
    const isOver = (): boolean => this.#exchange !== exchange;
    const waitsForAnswer = (): boolean => !isOver() && exchange.head === undefined;
    let left = length;
    this.#watch.stop();
    try {
      for await (const piece of pieces) {
        if (isOver()) return;
        left -= piece.byteLength;
        if (left < 0) break;
        if (waitsForAnswer()) this.#watchHead();
        await this.#write(piece);
        if (waitsForAnswer()) this.#watch.stop();
      }
      if (left !== 0) throw new errors.RequestContentLengthMismatchError();
      if (waitsForAnswer()) this.#watchHead();
      if (!isOver()) this.#isSent = true;
    } catch (error) {
      if (this.#exchange === exchange) this.destroy(error as Error);
    }
  }

  #write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }
}

/** How long the server keeps the connection, in ms; 0: not at all. */
function keepsFor({head}: Exchange): number {
  if (head?.keepsAlive !== true) return 0;
  const hint = /\btimeout=(\d{1,6})/.exec(String(head.headers['keep-alive'] ?? ''))?.[1];
  if (hint === undefined) return KEEP_ALIVE_MS;
  return Math.min(KEEP_ALIVE_MS, Number(hint) * 1000 - MARGIN_MS);
}
