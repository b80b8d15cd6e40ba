import type {Descriptor} from '../model/descriptor.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {ConnectionCount} from './connection-count.ts';
import {Part} from './part.ts';
import {readBlob} from './read-blob.ts';
import type {ReadContext} from './read-context.ts';

/** Bytes of one ranged request. Parts in flight are held in memory: connections × this. */
export const PART_SIZE = 8 * 1024 * 1024;

/**
 * Reads a blob from `offset` to its end over several connections, joined in order: a source that gives each connection
 * a fixed rate is read several times as fast. The number of connections is found while reading.
 */
export async function* readParts(
  source: RepositoryReader,
  blob: Descriptor,
  offset: number,
  context: ReadContext,
  call: Call,
): AsyncGenerator<Uint8Array, void, undefined> {
  const {connections} = context;
  const stop = new AbortController();
  const partCall = {signal: AbortSignal.any([call.signal, stop.signal])};
  const count = new ConnectionCount(connections.limit, performance.now());
  const parts: Part[] = [];
  let next = offset;
  let position = offset;
  let hasRanges = true;
  const fill = (): void => {
    // One connection is enough: the rest is one request, after these parts.
    while (next < blob.size && parts.length < count.count && count.count > 1) {
      // The first is the transfer's own; the others are lent.
      if (parts.length === 0) connections.take();
      else if (!connections.tryTake()) return;
      const part = new Part({start: next, end: Math.min(next + PART_SIZE, blob.size)}, (bytes) =>
        count.arrived(bytes, performance.now()),
      );
      parts.push(part);
      next = part.end;
      part.begin(source, blob, context, partCall);
    }
  };
  try {
    for (fill(); parts[0] !== undefined; fill()) {
      for await (const chunk of parts[0].chunks()) {
        position += chunk.byteLength;
        yield chunk;
      }
      hasRanges = !parts[0].hasNoRanges;
      if (!hasRanges) break;
      parts.shift();
      // Only now: a part that has arrived and waits takes as much memory as one on its way.
      connections.release();
    }
  } finally {
    stop.abort();
    await Promise.all(parts.map((part) => part.ended()));
    parts.forEach(() => connections.release());
  }
  if (position >= blob.size) return;
  if (!hasRanges) connections.cannotServeRanges(source.name);
  connections.take();
  try {
    yield* readBlob(source, blob, position, context, call);
  } finally {
    connections.release();
  }
}
