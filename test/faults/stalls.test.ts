import {describe, expect, it} from 'vitest';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {KiB, TransferRig} from '../support/transfer-rig.ts';

const MiB = 1024 * KiB;
const TIMEOUTS = {connectMs: 5_000, headersMs: 500, bodyIdleMs: 500};

function stall(
  method: 'GET' | 'PATCH' | 'PUT',
  body: 'request' | 'answer',
  after: number,
): FaultRuleInput {
  const about = method === 'GET' ? 'blob' : 'upload';
  return {method, about, fault: {kind: 'stall', body, after, gate: 'never'}};
}

/**
 * Chunks that fit into the buffers of sockets, on either side of what goes over connections of our own, and one that
 * does not, so that writing it stalls.
 */
describe.each([
  ['64 KiB', 64 * KiB, 64 * KiB, 5],
  ['512 KiB', 512 * KiB, 512 * KiB, 5],
  ['8 MiB', 8 * MiB, 512 * KiB, 1],
] as const)('with chunks of %s, a transfer gets over', (_what, chunk, part, count) => {
  const STALLS: readonly (readonly [string, 'source' | 'destination', FaultRuleInput])[] = [
    ['a source that stalls before it gives anything', 'source', stall('GET', 'answer', 0)],
    ['a source that stalls in the middle', 'source', stall('GET', 'answer', 30_000)],
    ['a chunk that is not taken', 'destination', stall('PATCH', 'request', 0)],
    ['a chunk that is half taken', 'destination', stall('PATCH', 'request', 30_000)],
  ];

  it.concurrent.each(STALLS)('%s', async (_case, side, rule) => {
    await using rig = await TransferRig.start({[side]: [rule], timeouts: TIMEOUTS, chunk, part});
    const blob = await rig.blob(chunk * count + 1);
    await rig.transfer(blob);
    const faults = side === 'source' ? rig.sourceFaults : rig.destinationFaults;
    expect(faults.injected).toHaveLength(1);
    expect(await rig.kept(blob)).toBe(blob.digest);
  });

  it.concurrent('a closing request that is not answered', async () => {
    const rule = stall('PUT', 'request', 0);
    const options = {destination: [rule], timeouts: TIMEOUTS, chunk: 2 * chunk, part};
    await using rig = await TransferRig.start(options);
    const blob = await rig.blob(chunk);
    await rig.transfer(blob);
    expect(rig.destinationFaults.injected).toHaveLength(1);
    expect(await rig.kept(blob)).toBe(blob.digest);
  });
});
