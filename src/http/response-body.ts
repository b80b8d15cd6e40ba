/** The operations that a body needs from its connection. */
export interface BodySource {
  pause(): void;
  resume(): void;
  /** Breaks the connection. */
  abort(reason: Error): void;
}

/** Bytes that are buffered without a waiting reader before the connection is paused. */
const HELD_LIMIT = 64 * 1024;

/**
 * The body of a response, to be read once by one reader. A chunk is valid only while it is pushed, so it is copied:
 * into the buffer of a waiting reader, or else into the body's own buffer, which is reused.
 */
export class ResponseBody {
  readonly #source: BodySource;
  /** Remaining bytes of the body; Infinity: unknown. */
  #left: number;
  /** Data received while no reader waited: the bytes between `#from` and `#to`. */
  #held = Buffer.alloc(0);
  #from = 0;
  #to = 0;
  /** The reader's buffer, and how many bytes of it are filled. */
  #memory: Uint8Array | undefined;
  #filled = 0;
  #end: {readonly error?: Error} | undefined;
  #isPaused = false;
  #wake: (() => void) | undefined;
  #isToWake = false;

  /** @param length in bytes; undefined: the server does not say */
  constructor(source: BodySource, length: number | undefined) {
    this.#source = source;
    this.#left = length ?? Infinity;
  }

  /** Takes the next bytes, which are valid only during this call. */
  push(piece: Uint8Array): void {
    if (this.#end !== undefined) return;
    this.#left -= piece.byteLength;
    const taken = this.#fill(piece);
    if (taken < piece.byteLength) this.#hold(piece.subarray(taken));
    const isFull = this.#memory !== undefined && this.#filled === this.#memory.byteLength;
    if (isFull) this.#wake?.();
    else if (this.#memory !== undefined) this.#wakeSoon();
    // If the whole body has been received, its end is delivered, so that the connection is free for the next request.
    if (this.#left > 0 && (isFull || this.#to - this.#from >= HELD_LIMIT)) {
      this.#isPaused = true;
      this.#source.pause();
    }
  }

  /** Marks the end of the body. With an error, buffered data is discarded. */
  end(error?: Error): void {
    this.#end ??= error === undefined ? {} : {error};
    this.#wake?.();
  }

  /**
   * Waits for the next bytes of the body.
   * @param memory the buffer to fill from its start, at least one byte; owned by the body until this settles
   * @returns the number of bytes; 0: end of the body
   * @throws the error that broke the body
   */
  async readInto(memory: Uint8Array): Promise<number> {
    this.#throwIfBroken();
    const held = this.#giveHeld(memory);
    if (held > 0 || this.#end !== undefined) return held;
    this.#memory = memory;
    this.#filled = 0;
    const {promise, resolve} = Promise.withResolvers<void>();
    this.#wake = resolve;
    this.#resume();
    await promise;
    this.#memory = undefined;
    this.#wake = undefined;
    this.#throwIfBroken();
    return this.#filled;
  }

  /** Whether the whole body was received and delivered to the reader. */
  get isOver(): boolean {
    return this.#end !== undefined && this.#end.error === undefined && this.#from === this.#to;
  }

  /** Aborts the body: the reader gets the error. */
  fail(error: Error): void {
    if (this.#end !== undefined) return;
    this.end(error);
    this.#source.abort(error);
  }

  /** Ends the reading. The connection is closed, unless the whole body was received. */
  cancel(): void {
    const isWhole = this.#end !== undefined || this.#left === 0;
    this.end();
    this.#held = Buffer.alloc(0);
    this.#from = this.#to = 0;
    if (!isWhole) this.#source.abort(new Error('the rest of the response is not needed'));
  }

  #throwIfBroken(): void {
    if (this.#end?.error !== undefined) throw this.#end.error;
  }

  #fill(piece: Uint8Array): number {
    if (this.#memory === undefined) return 0;
    const part = piece.subarray(0, this.#memory.byteLength - this.#filled);
    this.#memory.set(part, this.#filled);
    this.#filled += part.byteLength;
    return part.byteLength;
  }

  #hold(piece: Uint8Array): void {
    const to = this.#to + piece.byteLength;
    if (to > this.#held.byteLength) {
      // Doubled each time, since a body may arrive byte by byte.
      const grown = Buffer.allocUnsafeSlow(Math.max(to, 2 * this.#held.byteLength));
      grown.set(this.#held.subarray(0, this.#to));
      this.#held = grown;
    }
    this.#held.set(piece, this.#to);
    this.#to = to;
  }

  #giveHeld(memory: Uint8Array): number {
    const to = Math.min(this.#to, this.#from + memory.byteLength);
    const part = this.#held.subarray(this.#from, to);
    memory.set(part);
    this.#from = to;
    if (this.#from === this.#to) this.#from = this.#to = 0;
    return part.byteLength;
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#source.resume();
  }

  /**
   * Wakes the reader after all data that the system holds now was received: TLS delivers 16 KiB at a time, and waking
   * the reader for each piece is slow.
   */
  #wakeSoon(): void {
    if (this.#isToWake) return;
    this.#isToWake = true;
    setImmediate(() => {
      this.#isToWake = false;
      if (this.#filled > 0) this.#wake?.();
    });
  }
}
