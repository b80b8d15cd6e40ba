import type {Descriptor} from '../model/descriptor.ts';
import type {BlobStream, Call, RepositoryReader} from '../model/port.ts';
import {endedEarly, longer, Pace, type ReadContext, tooSlow} from './read-blob.ts';
import type {RetryBudget} from './retry-budget.ts';

/** Maximum bytes of a chunk. */
const PIECE = 256 * 1024;

/**
 * One range of a blob that is read into memory. It is filled as fast as data arrives, up to its size, and drained by
 * the reader of `chunks`.
 */
export class Part {
  readonly start: number;
  readonly end: number;
  /** Where its bytes are kept. */
  readonly buffer: Buffer;
  /** Set if the source answered with the whole blob, which is not used. */
  hasNoRanges = false;
  readonly #onArrival: (bytes: number) => void;
  /** Bytes in the buffer, and how many of them were delivered. */
  #arrived = 0;
  #given = 0;
  #filling: Promise<void> = Promise.resolve();
  #isOver = false;
  #failure: {readonly error: unknown} | undefined;
  #wake: () => void = () => undefined;

  /** @param buffer of at least the range's size; the part's own until it has ended */
  constructor(
    {start, end}: {readonly start: number; readonly end: number},
    buffer: Buffer,
    onArrival: (bytes: number) => void,
  ) {
    this.start = start;
    this.end = end;
    this.buffer = buffer;
    this.#onArrival = onArrival;
  }

  begin(source: RepositoryReader, blob: Descriptor, context: ReadContext, call: Call): void {
    this.#filling = this.#fill(source, blob, context, call)
      .catch((error: unknown) => {
        this.#failure = {error};
      })
      .finally(() => {
        this.#isOver = true;
        this.#wake();
      });
  }

  /** Settles when the part no longer uses a connection; never rejects. */
  async ended(): Promise<void> {
    await this.#filling;
  }

  /**
   * The bytes in order, as they arrive. A chunk is valid until the next one is requested. @throws the error that made
   * the part fail
   */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      if (this.#given < this.#arrived) {
        const from = this.#given;
        this.#given = Math.min(this.#arrived, from + PIECE);
        yield this.buffer.subarray(from, this.#given);
      } else if (this.#isOver) {
        if (this.#failure) throw this.#failure.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  get #position(): number {
    return this.start + this.#arrived;
  }

  async #fill(
    source: RepositoryReader,
    blob: Descriptor,
    context: ReadContext,
    call: Call,
  ): Promise<void> {
    const budget = context.newBudget();
    while (this.#position < this.end && !this.hasNoRanges) {
      try {
        await this.#fillFrom(source, blob, context, budget, call);
      } catch (error) {
        await budget.spend(error, 'source', call);
      }
    }
  }

  async #fillFrom(
    source: RepositoryReader,
    blob: Descriptor,
    {rate, slowest}: ReadContext,
    budget: RetryBudget,
    call: Call,
  ): Promise<void> {
    const start = this.#position;
    const stream = await source.openBlob(blob, {offset: start, end: this.end}, call);
    const {end} = stream;
    this.hasNoRanges = stream.start !== start || end > this.end;
    const readInto = reading(stream);
    const pace = new Pace(slowest);
    try {
      while (!this.hasNoRanges) {
        const count = await readInto(this.#room(end, rate?.pieceSize));
        if (count === 0) break;
        const isTooSlow = pace.isTooSlow(count);
        if (rate) await rate.pass(count, call);
        if (this.#position + count > end) throw longer(source, blob);
        this.#arrived += count;
        if (!isTooSlow) budget.arrived(count, this.end - this.start);
        this.#onArrival(count);
        this.#wake();
        if (isTooSlow && this.#position < this.end) throw tooSlow(source, blob);
        pace.waits();
      }
    } finally {
      await stream.chunks[Symbol.asyncIterator]().return?.();
    }
    if (this.#position < end && !this.hasNoRanges) throw endedEarly(source, blob, this.#position);
  }

  /** The free part of the buffer. It has room for one excess byte, to detect it. */
  #room(end: number, most = Infinity): Uint8Array {
    const left = Math.min(end - this.#position, most);
    return left > 0 ? this.buffer.subarray(this.#arrived, this.#arrived + left) : new Uint8Array(1);
  }
}

/** Reads a stream into a given buffer: see `BlobStream.readInto`. */
function reading({readInto, chunks}: BlobStream): NonNullable<BlobStream['readInto']> {
  if (readInto !== undefined) return readInto;
  const pieces = chunks[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array();
  return async (memory) => {
    while (rest.byteLength === 0) {
      const next = await pieces.next();
      if (next.done === true) return 0;
      rest = next.value;
    }
    const part = rest.subarray(0, memory.byteLength);
    memory.set(part);
    rest = rest.subarray(part.byteLength);
    return part.byteLength;
  };
}
