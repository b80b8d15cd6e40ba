import type {Socket} from 'node:net';
import {errors} from 'undici';
import {type Dial, untilReady} from './dial.ts';

/**
 * Bytes that a connection reads into: 72 connections, as many as there are blobs on their way without `--jobs`, hold
 * 72 MiB. Fewer pieces are less work: after each, what is hashed and sent has driven the program out of the
 * processor's caches, so that a GiB in pieces of half the size takes 10 % more processor time over eight connections.
 * Twice the size takes 5 % less here, and as much more in the registries on the same machine.
 */
const MEMORY = 1024 * 1024;

/**
 * A connection that reads into memory of its own. Reading a GiB that way costs half the processor time of streams that
 * allocate a piece of 64 KiB for each read: most of theirs goes into fresh memory pages, the collector, and work done
 * per piece. The socket is not read while a full buffer waits: the system reads ahead, and bytes that wait here would
 * leave the processor's caches before they are used.
 *
 * What `read` gives is borrowed: it is overwritten after the next call.
 */
export class BulkConnection {
  readonly #socket: Socket;
  /** Whether a buffer that is full needs another beside it: bytes may still come. */
  readonly #overruns: boolean;
  /** Bytes of a buffer. */
  readonly #size: number;
  /** Where the socket writes, and the bytes in it so far. Without overruns it is the full one, until that is read. */
  #filling: Buffer;
  #filled = 0;
  /** Buffers that are full, in the order they are to be read. The first, or else the one being filled, is read now. */
  readonly #full: Buffer[] = [];
  /** Bytes of it that were given away. */
  #read = 0;
  /** Buffers to be filled again. */
  readonly #free: Buffer[] = [];
  #isWriting = false;
  #end: {readonly error: Error | undefined} | undefined;
  /** Lets `read` look again. */
  #wake: () => void = () => undefined;
  /** Whether that is about to be done. */
  #isToWake = false;

  private constructor(dial: Dial) {
    this.#overruns = dial.overruns;
    this.#size = dial.overruns ? MEMORY / 2 : MEMORY;
    this.#filling = Buffer.allocUnsafeSlow(this.#size);
    this.#socket = dial.open({
      buffer: () => this.#filling.subarray(this.#filled),
      callback: (count: number) => this.#arrived(count),
    });
    this.#socket.on('error', (error) => this.#ended(error));
    this.#socket.on('end', () => this.#ended(undefined));
    this.#socket.on('close', () => this.#ended(undefined));
  }

  /**
   * @param connectMs how long it may take, in ms
   * @throws the errors of Node and undici, as `networkError` understands them; the signal's reason
   */
  static async open(dial: Dial, connectMs: number, signal: AbortSignal): Promise<BulkConnection> {
    signal.throwIfAborted();
    const connection = new BulkConnection(dial);
    try {
      await untilReady(connection.#socket, dial, connectMs, signal);
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /**
   * Whether it can be used for another request: open, and nothing came that nobody asked for. Not where an answer ended
   * with a buffer: the socket is still paused, so that its end would not be seen.
   */
  get isIdle(): boolean {
    return this.#end === undefined && this.#available() === 0 && this.#full.length === 0;
  }

  /**
   * The next bytes, valid until the next call; undefined: the other side has sent all it will.
   * @throws what broke the connection
   */
  async read(): Promise<Uint8Array | undefined> {
    this.#takeBack();
    while (this.#available() === 0) {
      if (this.#end?.error) throw this.#end.error;
      if (this.#end) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const buffer = this.#full[0] ?? this.#filling;
    const end = this.#full.length > 0 ? this.#size : this.#filled;
    const bytes = buffer.subarray(this.#read, end);
    this.#read = end;
    return bytes;
  }

  /** Gives the last `count` bytes of what `read` gave back, to be read again. */
  unread(count: number): void {
    this.#read -= count;
  }

  /** Resolves when the bytes are with the system, so that their memory can be used again. One piece at a time. */
  write(bytes: Uint8Array): Promise<void> {
    this.#isWriting = true;
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => {
        this.#isWriting = false;
        // A connection that is destroyed calls back with an error that says nothing of why.
        if (error) reject(this.#end?.error ?? error);
        else resolve();
      });
    });
  }

  /**
   * Tells where a piece is being written and the system takes none of its bytes. A slow line may take a minute for a
   * piece and still be of use. Over TLS Node does not see what moves, and a piece has to be gone in that time.
   * @param ms for how long
   * @returns ends it
   */
  watchWrites(ms: number, late: () => void): () => void {
    const look = (): void => {
      if (this.#isWriting) late();
    };
    // Not as its callback, which is told once only: that may be while the next piece is waited for.
    this.#socket.on('timeout', look).setTimeout(ms);
    return () => this.#socket.off('timeout', look).setTimeout(0);
  }

  /** Ends it at once; what is read or written then fails with `error`. */
  destroy(error?: Error): void {
    this.#ended(error ?? new errors.SocketError('the connection was closed on this side'));
    this.#socket.destroy();
  }

  /** Bytes in the buffer that is read which nobody has got yet. */
  #available(): number {
    return (this.#full.length > 0 ? this.#size : this.#filled) - this.#read;
  }

  /** A buffer that was lent to its end can be filled again. */
  #takeBack(): void {
    if (this.#read < this.#size) return;
    const buffer = this.#full.shift();
    if (buffer && this.#overruns) this.#free.push(buffer);
    this.#read = 0;
    if (this.#full.length > 0) return;
    // Not before the others had their turn: libuv reads a socket that has more to give up to 32 times in a row.
    setImmediate(() => {
      if (this.#full.length === 0) this.#socket.resume();
    });
  }

  /** @returns false: no more for now */
  #arrived(count: number): boolean {
    this.#filled += count;
    if (this.#filled < this.#size) {
      this.#wakeSoon();
      return this.#full.length === 0;
    }
    this.#full.push(this.#filling);
    if (this.#overruns) this.#filling = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#size);
    this.#filled = 0;
    // At once, while its bytes are in the processor's caches.
    this.#wake();
    return false;
  }

  /** When all has come that the system has now. TLS gives 16 KiB at a time: to pass on each is a sixth of the work. */
  #wakeSoon(): void {
    if (this.#isToWake) return;
    this.#isToWake = true;
    setImmediate(() => {
      this.#isToWake = false;
      this.#wake();
    });
  }

  #ended(error: Error | undefined): void {
    this.#end ??= {error};
    this.#wake();
  }
}
