import {describe, expect, it} from 'vitest';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {CHUNK, KiB, TransferRig} from '../support/transfer-rig.ts';

function unauthorized(more: Partial<FaultRuleInput>): FaultRuleInput {
  return {about: 'upload', ...more, fault: {kind: 'refuse', status: 401}};
}

describe('401 to a body', () => {
  it.each([
    ['each chunk', 'PATCH', 2 * CHUNK],
    ['each whole blob', 'PUT', 10 * KiB],
  ] as const)('to %s, for ever, ends the transfer at the second', async (_what, method, size) => {
    await using rig = await TransferRig.start({destination: [unauthorized({method, times: 99})]});
    const blob = await rig.blob(size);
    const transferring = rig.transfer(blob);
    await expect(transferring).rejects.toMatchObject({code: 'UNAUTHORIZED', side: 'destination'});
    expect(rig.destinationFaults.injected).toHaveLength(2);
  });

  it('once at each chunk is got over', async () => {
    // Every second request: a rule sees the requests to which no earlier rule applied.
    const rules = Array.from({length: 6}, (_, at) => unauthorized({method: 'PATCH', skip: at + 1}));
    await using rig = await TransferRig.start({destination: rules});
    const blob = await rig.blob(20 * CHUNK);
    await rig.transfer(blob);
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(rig.destinationFaults.injected).toHaveLength(6);
  });
});
