import type {Descriptor} from '../model/descriptor.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {ConnectionCount} from './connection-count.ts';
import {Part} from './part.ts';
import {readBlob} from './read-blob.ts';
import type {ReadContext} from './read-context.ts';

/**
 * Reads a blob from `offset` to its end over several connections, joined in order: a source that gives each connection
 * a fixed rate is read several times as fast. The number of connections is found while reading. What is left when one
 * connection is enough, when other transfers have all of them, or when the source cannot serve ranges, is read in one.
 */
export async function* readParts(
  source: RepositoryReader,
  blob: Descriptor,
  offset: number,
  context: ReadContext,
  call: Call,
): AsyncGenerator<Uint8Array, void, undefined> {
  // One part at a time is read no faster than all of it at once, and has to be copied.
  const hasSome = context.connections.available > 1;
  const position = hasSome ? yield* readSomeParts(source, blob, offset, context, call) : offset;
  if (position < blob.size) yield* readBlob(source, blob, position, context, call);
}

/** Reads as long as parts are of use. @returns the offset of what is left */
async function* readSomeParts(
  source: RepositoryReader,
  blob: Descriptor,
  offset: number,
  context: ReadContext,
  call: Call,
): AsyncGenerator<Uint8Array, number, undefined> {
  const {connections} = context;
  const {buffers} = connections;
  const stop = new AbortController();
  const partCall = {signal: AbortSignal.any([call.signal, stop.signal])};
  const count = new ConnectionCount(connections.limit, performance.now());
  const parts: Part[] = [];
  let next = offset;
  let position = offset;
  let hasRanges = true;
  const fill = (): void => {
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
        count.taken(now - given, now);
        // Not only between parts: on a slow line one takes longer than it takes to see that more would help.
        fill();
      }
      hasRanges = !part.hasNoRanges;
      if (!hasRanges) break;
      parts.shift();
      // Only now: a part that has arrived and waits takes as much memory as one on its way.
      connections.release();
      buffers.giveBack(part.buffer);
    }
  } finally {
    stop.abort();
    await Promise.all(parts.map((part) => part.ended()));
    // What was given away last may still be on its way out, so the buffer that it is in is not used again.
    for (const part of parts.slice(1)) buffers.giveBack(part.buffer);
    parts.forEach(() => connections.release());
  }
  if (!hasRanges) connections.cannotServeRanges(source.name);
  return position;
}
