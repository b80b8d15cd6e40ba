import type {Descriptor} from '../model/descriptor.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {ConnectionCount, isBusy} from './connection-count.ts';
import {Part} from './part.ts';
import {readBlob, type ReadContext} from './read-blob.ts';

/** The minimum remaining size, in parts, to switch from one connection to several. */
const WORTH_PARTS = 4;

/**
 * The minimum remaining time over one connection to do so, in ms: determining the best number of connections takes 400
 * ms.
 */
const WORTH_MS = 500;

/**
 * Where the taker has enough to do with the first few connections it is given one, and watched for so long at least, in
 * ms, before that is found to be too few. The trial of several is shorter, and has been wrong: 512 MiB at 20 MB/s for
 * each connection then took 26 s over one in place of 5 s.
 */
const WATCH_MS = 1000;

/**
 * Reads a blob from `offset` to its end over several connections, joined in order: a source that gives each connection
 * a fixed rate is read several times as fast. The number of connections is found while reading. Where one is enough it
 * is read in one until that changes; so it is while other relays have all connections, and to its end where the source
 * cannot serve ranges.
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
 * Reads in one until there are connections that would speed it up. Where the taker is busy, they would not.
 * @param watchMs how long the taker is watched at least before it is judged, in ms
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

/** Requests a range of one byte. */
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

/**
 * How many connections read large blobs at once, over the whole run. Each relay has one connection of its own, which
 * needs no buffer; connections with buffers are lent while available, so that concurrent relays do not each open eight,
 * and memory is bounded.
 */
export class ReadConnections {
  readonly buffers: PartBuffers;
  readonly #limit: number;
  /** Whether a source serves ranges, by name, after the first request for one. */
  readonly #ranges = new Map<string, boolean>();
  #lent = 0;
  #relays = 0;

  /** @param partSize bytes of one ranged request */
  constructor(limit = 8, partSize?: number) {
    this.#limit = limit;
    this.buffers = new PartBuffers(partSize);
  }

  /** The most that one blob may read over. */
  get limit(): number {
    return this.#limit;
  }

  /** Registers a relay of a large blob, with its own connection, until it leaves. */
  enter(): void {
    this.#relays += 1;
  }

  leave(): void {
    this.#relays -= 1;
  }

  /** How many connections can be lent: fewer with more relays, which read concurrently anyway. */
  get available(): number {
    // A relay with lent connections does not use its own.
    const own = Math.max(0, this.#relays - 1);
    return this.#limit - this.#lent - own;
  }

  /** Lends a connection, if one is available. */
  tryTake(): boolean {
    if (this.available <= 0) return false;
    this.#lent += 1;
    return true;
  }

  release(): void {
    this.#lent -= 1;
  }

  /** Whether this source answers a range request with the range, not with the whole blob; undefined: not known yet. */
  servesRanges(source: string): boolean | undefined {
    return this.#ranges.get(source);
  }

  learnRanges(source: string, areServed: boolean): void {
    this.#ranges.set(source, areServed);
  }
}

/**
 * Bytes of one ranged request: large compared with a round trip, and small enough for a buffer each. Parts that arrived
 * out of order are lost if the process is killed, which argues for small parts.
 */
const PART_SIZE = 5 * 1024 * 1024;

/**
 * Reusable buffers for parts: allocating memory for each part takes longer than reading it. There are never more
 * buffers than concurrent parts.
 */
export class PartBuffers {
  /** Bytes of a buffer, and of the requested ranges. */
  readonly size: number;
  readonly #free: Buffer[] = [];

  constructor(size = PART_SIZE) {
    this.size = size;
  }

  /** A buffer with undefined content. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.size);
  }

  /** Call only with a buffer that is no longer read or written. */
  giveBack(buffer: Buffer): void {
    this.#free.push(buffer);
  }
}
