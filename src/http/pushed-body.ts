/** What a body asks of the connection that it comes from. */
export interface BodySource {
  pause(): void;
  resume(): void;
  /** Breaks the connection. */
  abort(reason: Error): void;
}

/** So many bytes are held before the connection is paused. */
const HELD_LIMIT = 64 * 1024;

/** A body whose pieces come when the connection has them, and are held until they are asked for. Read once, by one reader. */
export class PushedBody implements AsyncIterator<Uint8Array, undefined> {
  readonly #source: BodySource;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #end: {readonly error?: Error} | undefined;
  /** The reader that waits for a piece or the end. */
  #wake: (() => void) | undefined;

  constructor(source: BodySource) {
    this.#source = source;
  }

  push(piece: Uint8Array): void {
    if (this.#end !== undefined) return;
    this.#held.push(piece);
    this.#heldBytes += piece.byteLength;
    if (this.#heldBytes >= HELD_LIMIT) this.#source.pause();
    this.#wake?.();
  }

  /** No more pieces come; with an error, none of those held is given either. */
  end(error?: Error): void {
    this.#end ??= error === undefined ? {} : {error};
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    while (this.#held.length === 0 && this.#end === undefined) await this.#change();
    if (this.#end?.error !== undefined) throw this.#end.error;
    const value = this.#held.shift();
    if (value === undefined) return {done: true, value};
    const wasPaused = this.#heldBytes >= HELD_LIMIT;
    this.#heldBytes -= value.byteLength;
    if (wasPaused && this.#heldBytes < HELD_LIMIT) this.#source.resume();
    return {done: false, value};
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    const hasEnded = this.#end !== undefined;
    this.#held = [];
    this.end();
    if (!hasEnded) this.#source.abort(new Error('the rest of the answer is not wanted'));
    return Promise.resolve({done: true, value: undefined});
  }

  async #change(): Promise<void> {
    const {promise, resolve} = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
    this.#wake = undefined;
  }
}
