import type {OpenFrom} from './blob-cursor.ts';

type Bytes = ReturnType<OpenFrom>;

/** The part of a shared reading that one relay has. */
export interface SharedReader {
  /**
   * The bytes from `offset` on: those of the shared reading while this relay is near the others, else of a read of its own.
   * @param signal ends this relay's part alone
   */
  read(offset: number, open: OpenFrom, signal: AbortSignal): Bytes;
  /** The relay has ended: nobody waits for it any more. */
  leave(): void;
}

/** Bytes that the first relay may be ahead of the last one: they are kept in memory. */
const WINDOW = 1024 * 1024;

/** How long a relay waits for a slower one, in ms. Then that one reads for itself. */
const PATIENCE_MS = 5000;

interface Position {
  at: number;
  /** Too slow for the others. */
  isDropped: boolean;
}

/**
 * Reads a blob once for several relays, each to another registry. They take the bytes at nearly the same pace: the fast
 * ones wait for the slow ones, but not for long. A relay that fails and begins again elsewhere reads for itself.
 */
export class SharedReading {
  /** Relays that have neither begun to read nor left. */
  #expected: number;
  /** Copies of what the slowest reader has not taken yet; the first begins at `#base`. */
  readonly #chunks: Uint8Array[] = [];
  #base = 0;
  #head = 0;
  readonly #readers = new Set<Position>();
  readonly #end = new AbortController();
  #source: Bytes | undefined;
  #isComplete = false;
  #pulling: Promise<void> | undefined;
  /** Settled when a reader takes something or leaves. */
  #moved = Promise.withResolvers<void>();

  /** @param relays that share the reading, each of which reads or leaves */
  constructor(relays: number) {
    this.#expected = relays;
  }

  /** To be called once for each relay. */
  reader(): SharedReader {
    let isExpected = true;
    const arrive = (): void => {
      // Nobody is expected any more once one of them was too late.
      if (isExpected && this.#expected > 0) this.#expected -= 1;
      isExpected = false;
      this.#trim();
    };
    return {
      read: (offset, open, signal) => this.#read(offset, open, signal, arrive),
      leave: arrive,
    };
  }

  async *#read(offset: number, open: OpenFrom, signal: AbortSignal, arrive: () => void): Bytes {
    const own: Position = {at: offset, isDropped: false};
    const isNear = offset >= this.#base && offset <= this.#head && !this.#end.signal.aborted;
    if (!isNear) {
      arrive();
      yield* open(offset, signal);
      return;
    }
    this.#readers.add(own);
    arrive();
    try {
      while (!own.isDropped) {
        signal.throwIfAborted();
        const chunk = this.#chunkAt(own.at);
        if (chunk !== undefined) {
          own.at += chunk.byteLength;
          this.#trim();
          yield chunk;
        } else if (this.#isComplete) return;
        // It failed for another reader, whose attempts to read it are spent; this one has its own.
        else if (this.#end.signal.aborted) break;
        else await this.#more(open, signal);
      }
    } finally {
      this.#readers.delete(own);
      this.#trim();
      if (this.#readers.size === 0 && this.#expected === 0) await this.#close();
    }
    yield* open(own.at, signal);
  }

  #chunkAt(at: number): Uint8Array | undefined {
    let begin = this.#base;
    for (const chunk of this.#chunks) {
      const end = begin + chunk.byteLength;
      if (at < end) return chunk.subarray(at - begin);
      begin = end;
    }
    return undefined;
  }

  /** Waits for the next bytes of the source, or for room to put them. */
  async #more(open: OpenFrom, signal: AbortSignal): Promise<void> {
    if (this.#head - this.#base >= WINDOW) {
      await this.#waitForOthers(signal);
      return;
    }
    this.#pulling ??= this.#pull(open).finally(() => {
      this.#pulling = undefined;
    });
    await orAborted(this.#pulling, signal);
  }

  async #pull(open: OpenFrom): Promise<void> {
    this.#source ??= open(0, this.#end.signal);
    try {
      const {value, done} = await this.#source.next();
      if (done === true) {
        this.#isComplete = true;
        return;
      }
      this.#chunks.push(Buffer.from(value));
      this.#head += value.byteLength;
    } catch (error) {
      // The readers that wait for it get the error; the others, and those that try again, read for themselves.
      this.#end.abort(error);
      throw error;
    }
  }

  /** Waits until the slowest reader has moved; drops it where it does not. */
  async #waitForOthers(signal: AbortSignal): Promise<void> {
    const late = Promise.withResolvers<'late'>();
    const timer = setTimeout(() => late.resolve('late'), PATIENCE_MS);
    try {
      const first = await orAborted(Promise.race([this.#moved.promise, late.promise]), signal);
      if (first !== 'late' || this.#head - this.#base < WINDOW) return;
      this.#expected = 0;
      for (const reader of this.#readers) if (reader.at < this.#head) reader.isDropped = true;
      for (const reader of this.#readers) if (reader.isDropped) this.#readers.delete(reader);
      this.#trim();
    } finally {
      clearTimeout(timer);
    }
  }

  /** Lets go what nobody needs any more. */
  #trim(): void {
    const needed =
      this.#expected > 0 ? 0 : Math.min(this.#head, ...[...this.#readers].map(({at}) => at));
    for (;;) {
      const [first] = this.#chunks;
      if (first === undefined || this.#base + first.byteLength > needed) break;
      this.#chunks.shift();
      this.#base += first.byteLength;
    }
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }

  async #close(): Promise<void> {
    this.#end.abort();
    this.#chunks.length = 0;
    await this.#source?.return().catch(() => undefined);
  }
}

/** The promise, or the reason of the signal as soon as that is aborted. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason as Error);
  signal.addEventListener('abort', abort, {once: true});
  try {
    signal.throwIfAborted();
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
