import type {Descriptor} from '../model/descriptor.ts';
import type {BlobStream, Call, RepositoryReader} from '../model/port.ts';
import {endedEarly, longer, Pace, readBlob, type ReadContext, tooSlow} from './read-blob.ts';
import {ConnectionCount, isBusy} from './read-connections.ts';
import type {RetryBudget} from './retry-budget.ts';

/** The minimum remaining size, in parts, to switch from one connection to several. */
const WORTH_PARTS = 4;

/** The minimum remaining time over one connection to do so, in ms: finding the number of connections takes 400 ms. */
const WORTH_MS = 500;

/**
 * After a trial of several connections found that the consumer is the bottleneck, one connection is used and measured
 * for at least this long, in ms, before several are tried again. The trial is shorter, and may be wrong: a source that
 * sends 20 MB/s per connection would then be read five times as slowly.
 */
const WATCH_MS = 1000;

/**
 * Reads a blob from `offset` to its end over several connections, joined in order: a source that gives each connection
 * a fixed rate is read several times as fast. The number of connections is found while reading. The blob is read over
 * one connection while one is sufficient, while other relays use all others, and to its end if the source cannot serve
 * ranges.
 */
export async function* readParts(
  source: RepositoryReader,
  blob: Descriptor,
  offset: number,
  context: ReadContext,
  call: Call,
): AsyncGenerator<Uint8Array, void, undefined> {
  let position = offset;
  let isOneTooFew = false;
  while (position < blob.size) {
    // Reading one part at a time is not faster than one stream, and costs a copy.
    if (context.connections.available <= 1) {
      position = yield* readInOne(source, blob, position, 0, context, call);
      continue;
    }
    const end = yield* readSomeParts(source, blob, position, isOneTooFew, context, call);
    position = end.position;
    if (!end.hasRanges) break;
    if (!end.isOneEnough) continue;
    position = yield* readInOne(source, blob, position, WATCH_MS, context, call);
    isOneTooFew = true;
  }
  if (position < blob.size) yield* readBlob(source, blob, position, context, call);
}

/**
 * Reads over one connection until further ones are available and would help, which they do not if the consumer is busy.
 * @param watchMs the minimum time of measuring the consumer, in ms
 * @returns the offset of the remaining bytes
 */
async function* readInOne(
  source: RepositoryReader,
  blob: Descriptor,
  offset: number,
  watchMs: number,
  context: ReadContext,
  call: Call,
): AsyncGenerator<Uint8Array, number, undefined> {
  const {connections} = context;
  const {size} = connections.buffers;
  let position = offset;
  let watchedFrom: number | undefined;
  let busyMs = 0;
  let from = offset;
  for await (const chunk of readBlob(source, blob, offset, context, call)) {
    position += chunk.byteLength;
    const given = performance.now();
    yield chunk;
    const now = performance.now();
    // The consumer may have opened an upload with the first chunk.
    if (watchedFrom === undefined) {
      [watchedFrom, from] = [now, position];
      continue;
    }
    busyMs += now - given;
    const [bytes, ms] = [position - from, now - watchedFrom];
    if (bytes < size || ms < watchMs) continue;
    const left = blob.size - position;
    const isLong = left >= WORTH_PARTS * size && left * ms >= WORTH_MS * bytes;
    if (isLong && connections.available > 1 && !isBusy(busyMs, ms)) {
      // Without ranges, everything would have to be read again.
      const knows = connections.servesRanges(source.name);
      if (knows ?? (await provesRanges(source, blob, position, context, call))) return position;
    }
    [watchedFrom, busyMs, from] = [now, 0, position];
  }
  return position;
}

/** Whether the source serves ranges, according to a request for one byte. */
async function provesRanges(
  source: RepositoryReader,
  blob: Descriptor,
  offset: number,
  {connections}: ReadContext,
  call: Call,
): Promise<boolean> {
  try {
    const {start, chunks} = await source.openBlob(blob, {offset, end: offset + 1}, call);
    await chunks[Symbol.asyncIterator]().return?.();
    connections.learnRanges(source.name, start === offset);
    return start === offset;
  } catch {
    // The current stream continues; the switch is tried again later.
    call.signal.throwIfAborted();
    return false;
  }
}

/** Reads in parts as long as they help. @returns the offset of the remaining bytes, and why parts no longer help */
async function* readSomeParts(
  source: RepositoryReader,
  blob: Descriptor,
  offset: number,
  isOneTooFew: boolean,
  context: ReadContext,
  call: Call,
): AsyncGenerator<
  Uint8Array,
  {position: number; hasRanges: boolean; isOneEnough: boolean},
  undefined
> {
  const {connections} = context;
  const {buffers} = connections;
  const stop = new AbortController();
  const partCall = {signal: AbortSignal.any([call.signal, stop.signal])};
  const count = new ConnectionCount(connections.limit, performance.now(), isOneTooFew);
  const parts: Part[] = [];
  let next = offset;
  let position = offset;
  let hasRanges = true;
  const fill = (): void => {
    if (parts.length === 0 && connections.available <= 1) return;
    while (next < blob.size && parts.length < count.count && count.count > 1) {
      if (!connections.tryTake()) return;
      const range = {start: next, end: Math.min(next + buffers.size, blob.size)};
      const part = new Part(range, buffers.take(), (bytes) =>
        count.arrived(bytes, performance.now()),
      );
      parts.push(part);
      next = part.end;
      part.begin(source, blob, context, partCall);
    }
  };
  try {
    for (fill(); parts[0] !== undefined; fill()) {
      const [part] = parts;
      for await (const chunk of part.chunks()) {
        position += chunk.byteLength;
        const given = performance.now();
        yield chunk;
        const now = performance.now();
        count.taken(chunk.byteLength, now - given, now);
        // Not only between parts: on a slow connection, a part takes longer than measuring whether more connections
        // help.
        fill();
      }
      hasRanges = !part.hasNoRanges;
      if (!hasRanges) break;
      parts.shift();
      // Only now: a complete, waiting part takes as much memory as one in progress.
      connections.release();
      buffers.giveBack(part.buffer);
    }
  } finally {
    stop.abort();
    await Promise.all(parts.map((part) => part.ended()));
    // The last delivered chunk may still be in transit, so its buffer is not reused.
    for (const part of parts.slice(1)) buffers.giveBack(part.buffer);
    parts.forEach(() => connections.release());
  }
  connections.learnRanges(source.name, hasRanges);
  return {position, hasRanges, isOneEnough: count.count === 1};
}

/** Maximum bytes of a chunk. */
const PIECE = 256 * 1024;

/**
 * One range of a blob that is read into memory. It is filled as fast as data arrives, up to its size, and drained by
 * the reader of `chunks`.
 */
class Part {
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
