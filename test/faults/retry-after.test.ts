import {describe, expect, it} from 'vitest';
import {on, refuse} from '../support/fault-rules.ts';
import {CHUNK, TransferRig} from '../support/transfer-rig.ts';

/** Node's timers count whole ms of another clock: they may end so much earlier. */
const SLACK_MS = 5;

/** A date of HTTP has no fractions: so this is at least 2 s ahead. */
function soon(): string {
  return new Date(Date.now() + 2_999).toUTCString();
}

describe('Retry-After of one chunk', () => {
  it.each([
    ['in seconds', () => '1', (_header: string, refusedAt: number) => refusedAt + 1_000],
    ['as a date', soon, (header: string) => Date.parse(header)],
  ])('%s holds all transfers to that host', async (_form, headerNow, end) => {
    const header = headerNow();
    await using rig = await TransferRig.start({
      destination: [
        on('PATCH', {kind: 'stall', body: 'request', after: 10, gate: 'first'}),
        refuse('PATCH', 429, {}, 0, {'retry-after': header}),
      ],
    });
    const [first, limited, last] = [
      await rig.blob(3 * CHUNK),
      await rig.blob(3 * CHUNK),
      await rig.blob(3 * CHUNK),
    ];
    const {gates} = rig.destinationFaults;
    const transfers = [rig.transfer(first)];
    await gates.reached('first');
    const refused = Promise.withResolvers<number>();
    const onRetry = () => refused.resolve(rig.arrivals.length);
    transfers.push(rig.transfer(limited, {onRetry}));
    const before = await refused.promise;
    // One in the middle of an upload, and one that has not yet begun.
    gates.open('first');
    transfers.push(rig.transfer(last));
    await Promise.all(transfers);
    const heldUntil = end(header, rig.arrivals[before - 1] ?? Number.NaN);
    const after = rig.arrivals.slice(before);
    expect(after.length).toBeGreaterThan(0);
    expect(Math.min(...after)).toBeGreaterThanOrEqual(heldUntil - SLACK_MS);
    for (const blob of [first, limited, last]) expect(await rig.kept(blob)).toBe(blob.digest);
  });
});
