import {abortable} from '../http/abort.ts';
import type {OpenFrom} from './blob-cursor.ts';

type Bytes = ReturnType<OpenFrom>;

/** One relay's view of a shared reading. */
export interface SharedReader {
  /**
   * The bytes from `offset` on, from the shared reading as long as they are in its window, and from a read of its own
   * after that.
   * @param signal ends the reading for this relay only
   */
  read(offset: number, open: OpenFrom, signal: AbortSignal): Bytes;
  /** Ends this relay's participation, so that the others no longer wait for it. */
  leave(): void;
}

/**
 * The maximum distance between the fastest and the slowest relay, in bytes. The bytes in between are kept in memory.
 */
const WINDOW = 1024 * 1024;

/** How long relays wait for a slower one, in ms, before it is excluded and reads the blob by itself. */
const PATIENCE_MS = 5000;

interface Position {
  at: number;
  /** Excluded, because it was too slow. */
  isDropped: boolean;
}

/**
 * Reads a blob once for several relays, each to another registry. All of them advance within one window: fast relays
 * wait for slow ones, up to a limit. A relay that resumes at an offset outside of the window reads the blob by itself.
 */
export class SharedReading {
  /** Relays that have neither begun to read nor left. */
  #expected: number;
  /** Copies of the chunks that the slowest reader has not taken yet; the first begins at `#base`. */
  readonly #chunks: Uint8Array[] = [];
  #base = 0;
  #head = 0;
  readonly #readers = new Set<Position>();
  readonly #end = new AbortController();
  #source: Bytes | undefined;
  #isComplete = false;
  #pulling: Promise<void> | undefined;
  /** Settled when a reader takes a chunk or leaves. */
  #moved = Promise.withResolvers<void>();

  /** @param relays number of relays that share the reading; each must read or leave */
  constructor(relays: number) {
    this.#expected = relays;
  }

  /** Adds a relay. Call it once for each of them. */
  reader(): SharedReader {
    let isExpected = true;
    const arrive = (): void => {
      // `#expected` is 0 after a relay was excluded.
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
        // The shared source failed, for the relay that was reading it; this one still has its own retry budget.
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

  /** Reads the next chunk of the source, after the slowest relay has left room for it. */
  async #more(open: OpenFrom, signal: AbortSignal): Promise<void> {
    if (this.#head - this.#base >= WINDOW) {
      await this.#waitForOthers(signal);
      return;
    }
    this.#pulling ??= this.#pull(open).finally(() => {
      this.#pulling = undefined;
    });
    await abortable(this.#pulling, signal);
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
      // Relays that wait for this chunk get the error; the others, and those that retry, read by themselves.
      this.#end.abort(error);
      throw error;
    }
  }

  /** Waits until the slowest relay has advanced, and excludes it if it does not do so in time. */
  async #waitForOthers(signal: AbortSignal): Promise<void> {
    const late = Promise.withResolvers<'late'>();
    const timer = setTimeout(() => late.resolve('late'), PATIENCE_MS);
    try {
      const first = await abortable(Promise.race([this.#moved.promise, late.promise]), signal);
      if (first !== 'late' || this.#head - this.#base < WINDOW) return;
      this.#expected = 0;
      for (const reader of this.#readers) if (reader.at < this.#head) reader.isDropped = true;
      for (const reader of this.#readers) if (reader.isDropped) this.#readers.delete(reader);
      this.#trim();
    } finally {
      clearTimeout(timer);
    }
  }

  /** Drops the chunks that all relays have taken. */
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
