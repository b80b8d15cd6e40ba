import type {Descriptor} from '../model/descriptor.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {endedEarly, longer, tooSlow} from './blob-size.ts';
import {Pace} from './pace.ts';
import type {ReadContext} from './read-context.ts';

/**
 * Reads a blob from `offset` to its end. A connection that breaks is opened again where it broke, so the consumer sees
 * one unbroken stream. So is one that gives less than was asked for. A place that cannot serve ranges is read from the
 * start, and the known part is passed over.
 * The size is checked; the digest is the consumer's to check.
 * @throws TransshipError BLOB_SIZE_MISMATCH, BLOB_NOT_FOUND, or the last failure when the budget is spent
 */
export async function* readBlob(
  source: RepositoryReader,
  blob: Descriptor,
  offset: number,
  {newBudget, rate, slowest}: Omit<ReadContext, 'connections'>,
  call: Call,
): AsyncGenerator<Uint8Array, void, undefined> {
  const budget = newBudget();
  let position = offset;
  while (position < blob.size) {
    try {
      const stream = await source.openBlob(blob, {offset: position}, call);
      const pace = new Pace(slowest);
      let at = stream.start;
      for await (const chunk of stream.chunks) {
        const isTooSlow = pace.isTooSlow(chunk.byteLength);
        for (const piece of rate?.pieces(chunk) ?? [chunk]) {
          if (rate) await rate.pass(piece.byteLength, call);
          const known = Math.max(0, position - at);
          at += piece.byteLength;
          if (at > stream.end) throw longer(source, blob);
          if (at <= position) continue;
          if (!isTooSlow) budget.arrived(at - position, blob.size - offset);
          position = at;
          yield known === 0 ? piece : piece.subarray(known);
        }
        if (isTooSlow && position < blob.size) throw tooSlow(source, blob);
        pace.waits();
      }
      if (position < stream.end) throw endedEarly(source, blob, position);
    } catch (error) {
      await budget.spend(error, 'source', call);
    }
  }
}
