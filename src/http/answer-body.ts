/** What a body asks of the connection that it comes from. */
export interface BodySource {
  pause(): void;
  resume(): void;
  /** Breaks the connection. */
  abort(reason: Error): void;
}

/** So much is kept for a reader who asks for nothing, in bytes, before the connection is paused. */
const HELD_LIMIT = 64 * 1024;

/**
 * The body of an answer as it comes, once, for one reader. A piece is valid only while it is pushed, so it is copied:
 * into the memory of the reader where one waits, else into memory of the body's own, which is used again.
 */
export class AnswerBody {
  readonly #source: BodySource;
  /** Bytes of the body that are to come; infinite: not known. */
  #left: number;
  /** What came while no reader waited: the bytes between `#from` and `#to`. */
  #held = Buffer.alloc(0);
  #from = 0;
  #to = 0;
  /** The reader's memory, and how much of it is filled. */
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

  push(piece: Uint8Array): void {
    if (this.#end !== undefined) return;
    this.#left -= piece.byteLength;
    const taken = this.#fill(piece);
    if (taken < piece.byteLength) this.#hold(piece.subarray(taken));
    const isFull = this.#memory !== undefined && this.#filled === this.#memory.byteLength;
    if (isFull) this.#wake?.();
    else if (this.#memory !== undefined) this.#wakeSoon();
    // The end of a body that is here already is let through, so that its connection is free for the next request.
    if (this.#left > 0 && (isFull || this.#to - this.#from >= HELD_LIMIT)) {
      this.#isPaused = true;
      this.#source.pause();
    }
  }

  /** No more comes; with an error, what is held is not given either. */
  end(error?: Error): void {
    this.#end ??= error === undefined ? {} : {error};
    this.#wake?.();
  }

  /**
   * Waits for some of the body.
   * @param memory where it goes, from the beginning; at least one byte, and the body's own until this settles
   * @returns how many bytes there are; 0: the body is over
   * @throws what broke the body
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

  /** Whether all of it has come and was given to the reader. */
  get isOver(): boolean {
    return this.#end !== undefined && this.#end.error === undefined && this.#from === this.#to;
  }

  /** Breaks it off: the reader gets the error. */
  fail(error: Error): void {
    if (this.#end !== undefined) return;
    this.end(error);
    this.#source.abort(error);
  }

  /** Ends the reading. The connection is closed, unless all of the body is here. */
  cancel(): void {
    const isWhole = this.#end !== undefined || this.#left === 0;
    this.end();
    this.#held = Buffer.alloc(0);
    this.#from = this.#to = 0;
    if (!isWhole) this.#source.abort(new Error('the rest of the answer is not wanted'));
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
      // Twice as much each time: a body may come a byte at a time.
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

  /** When all has come that the system has now: TLS gives 16 KiB at a time, and each would be a turn of the reader's. */
  #wakeSoon(): void {
    if (this.#isToWake) return;
    this.#isToWake = true;
    setImmediate(() => {
      this.#isToWake = false;
      if (this.#filled > 0) this.#wake?.();
    });
  }
}
