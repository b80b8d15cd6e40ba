import {describe, expect, it} from 'vitest';
import {ConnectionCount} from '../../src/relay/read-connections.ts';

/**
 * Watches a blob for some seconds, in steps of 50 ms.
 * @param rate bytes per ms that so many connections bring
 * @param busy the part of the time that the taker is busy with them
 */
function watch(
  rate: (count: number) => number,
  busy: (count: number) => number,
  limit = 8,
  isOneTooFew = false,
) {
  const count = new ConnectionCount(limit, 0, isOneTooFew);
  const tried = [count.count];
  for (let now = 50; now < 5000; now += 50) {
    const bytes = rate(count.count) * 50;
    count.arrived(bytes, now);
    count.taken(bytes, busy(count.count) * 50, now);
    if (tried.at(-1) !== count.count) tried.push(count.count);
  }
  return tried;
}

const never = () => 0;

describe('the number of connections', () => {
  it('grows as long as each brings more', () => {
    expect(watch((count) => count * 20, never)).toEqual([4, 8]);
  });

  it('stays below its limit', () => {
    expect(watch((count) => count * 20, never, 4)).toEqual([4]);
  });

  it('reduces connections that did not help', () => {
    expect(watch((count) => Math.min(count, 4) * 20, never)).toEqual([4, 8, 4]);
  });

  it.each([50, 100, 180, 350, 500, 1000])(
    'does not take it for busy when the first bytes wait %i ms for its upload',
    (waitMs) => {
      const count = new ConnectionCount(8, 0);
      // Bytes in each ms; there is room for four parts.
      const [source, taker, room] = [10, 100, 20_000];
      let waiting = 0;
      for (let now = 10; now < 3000; now += 10) {
        const bytes = Math.min(count.count * source * 10, room - waiting);
        if (bytes > 0) count.arrived(bytes, now);
        waiting += bytes;
        if (now < waitMs) continue;
        const taken = Math.min(waiting, taker * 10);
        count.taken(taken, now - 10 < waitMs ? waitMs : taken / taker, now);
        waiting -= taken;
      }
      expect(count.count).toBe(8);
    },
  );

  it.each([500, 600, 700, 800, 900])(
    'does not take it for no help when the taker pauses after %i ms',
    (pausesAt) => {
      const count = new ConnectionCount(8, 0);
      const ends = pausesAt + 500;
      for (let now = 50; now < 5000; now += 50) {
        // All buffers are full then, and nothing comes.
        if (now > pausesAt && now < ends) continue;
        const bytes = count.count * 20 * 50;
        count.taken(bytes, now === ends ? 500 : 0, now);
        count.arrived(bytes, now);
      }
      expect(count.count).toBe(8);
    },
  );

  it('reduces to one if the consumer is busy with the first', () => {
    expect(
      watch(
        () => 500,
        () => 0.9,
      ),
    ).toEqual([4, 1]);
  });

  it('stays with the first where one is known to be too few', () => {
    expect(
      watch(
        () => 500,
        () => 0.9,
        8,
        true,
      ),
    ).toEqual([4]);
  });

  it('keeps what helped where the taker has enough to do only then', () => {
    expect(
      watch(
        (count) => count * 20,
        (count) => (count < 8 ? 0.1 : 0.9),
      ),
    ).toEqual([4, 8]);
  });
});
