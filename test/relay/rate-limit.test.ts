import {describe, expect, it} from 'vitest';
import {RateLimit} from '../../src/relay/rate-limit.ts';
import {ReadConnections} from '../../src/relay/read-connections.ts';
import {readParts} from '../../src/relay/read-parts.ts';
import {readBlob} from '../../src/relay/read-blob.ts';
import {RetryBudget} from '../../src/relay/retry-budget.ts';
import {HASTY, KiB, TransferRig} from '../support/transfer-rig.ts';
import {collect, NEVER} from '../support/streams.ts';

const call = {signal: NEVER};

const contextOf = (rate: RateLimit) => ({
  connections: new ReadConnections(4, 64 * KiB),
  newBudget: () => new RetryBudget(HASTY, () => undefined),
  rate,
});

describe('a rate limit', () => {
  it('is never faster than it says, over all that share it', async () => {
    const limit = new RateLimit(1_000_000);
    const began = performance.now();
    await Promise.all(Array.from({length: 10}, () => limit.pass(50_000, call)));
    // 500 ms less the burst of 100; a timer may come a fraction early.
    expect(performance.now() - began).toBeGreaterThan(395);
  });

  it('lets those through first that ask first', async () => {
    const limit = new RateLimit(1_000_000);
    const order: number[] = [];
    await Promise.all(
      [150_000, 10_000, 10_000].map(async (bytes, at) => {
        await limit.pass(bytes, call);
        order.push(at);
      }),
    );
    expect(order).toEqual([0, 1, 2]);
  });

  it('ends its wait with the call', async () => {
    const limit = new RateLimit(1);
    const end = new AbortController();
    const waiting = limit.pass(1_000_000, {signal: end.signal});
    end.abort();
    await expect(waiting).rejects.toMatchObject({name: 'AbortError'});
  });

  describe.each([
    ['in one', readBlob],
    ['in parts', readParts],
  ])('of a blob that is read %s', (_what, read) => {
    it('passes on what it may immediately', async () => {
      await using rig = await TransferRig.start();
      const blob = await rig.blob(512 * KiB);
      // All that one read gives would take hours.
      const chunks = read(rig.source, blob, 0, contextOf(new RateLimit(10)), call);
      const first = await chunks.next();
      await chunks.return();
      expect(first.value?.byteLength).toBe(1);
    });

    it('holds the rest back', async () => {
      await using rig = await TransferRig.start();
      const blob = await rig.blob(300_000);
      const began = performance.now();
      await collect(read(rig.source, blob, 0, contextOf(new RateLimit(1_000_000)), call));
      expect(performance.now() - began).toBeGreaterThan(195);
    });
  });

  it('holds a transfer back', async () => {
    await using rig = await TransferRig.start();
    const blob = await rig.blob(300_000);
    const began = performance.now();
    await rig.transfer(blob, {settings: {rate: new RateLimit(1_000_000)}});
    expect(performance.now() - began).toBeGreaterThan(195);
    expect(await rig.kept(blob)).toBe(blob.digest);
  });
});
