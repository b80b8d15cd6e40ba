import {randomBytes} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import type {SavedUpload} from '../../src/model/port.ts';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {NEVER, streamOf} from '../support/streams.ts';
import {CHUNK, KiB, TransferRig} from '../support/transfer-rig.ts';

const SIZE = 5 * CHUNK + 10;
const MIN_CHUNK = 100 * KiB;
const call = {signal: NEVER};

/** The question where an upload stands is never answered. */
function unaskable(status: number, code: string): FaultRuleInput {
  return {method: 'GET', about: 'upload', times: 99, fault: {kind: 'refuse', status, code}};
}

/** An upload of an earlier run, which has the blob's beginning. */
async function leaveUpload(rig: TransferRig, content: Buffer, length: number) {
  const blob = await rig.blob(content.length, content);
  const upload = await rig.destination.beginUpload(blob, call);
  await upload.append(streamOf([content.subarray(0, length)]), length, call);
  return {blob, saved: JSON.parse(JSON.stringify(upload.saved)) as SavedUpload};
}

function chunks(rig: TransferRig): readonly number[] {
  const {entries} = rig.sandboxes.destination.log;
  return entries.filter(({method}) => method === 'PATCH').map(({bytesIn}) => bytesIn);
}

const UNASKABLE = [
  [400, 'BLOB_UPLOAD_INVALID'],
  [405, 'UNSUPPORTED'],
  [416, 'RESUMABLE_BLOB_UPLOAD_INVALID'],
] as const;

describe.each(UNASKABLE)('an upload that is asked for in vain (%i %s)', (status, code) => {
  it('is left for a new one by the next run, at once', async () => {
    await using rig = await TransferRig.start({destination: [unaskable(status, code)]});
    const {blob, saved} = await leaveUpload(rig, randomBytes(SIZE), CHUNK);
    const told = await rig.transfer(blob, {saved});
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect([told.sent, told.retries]).toEqual([SIZE, 0]);
    expect(rig.destinationFaults.strikes).toHaveLength(1);
  });

  it('is left for a new one after a failure', async () => {
    const cut = {kind: 'cut-request', after: 1000} as const;
    await using rig = await TransferRig.start({
      destination: [{method: 'PATCH', skip: 1, fault: cut}, unaskable(status, code)],
    });
    const blob = await rig.blob(SIZE);
    const told = await rig.transfer(blob);
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(told.retries).toBe(1);
  });
});

it.each([401, 403])(
  'an upload that may not be asked for (%i) ends the transfer',
  async (status) => {
    await using rig = await TransferRig.start({destination: [unaskable(status, 'DENIED')]});
    const {blob, saved} = await leaveUpload(rig, randomBytes(SIZE), CHUNK);
    await expect(rig.transfer(blob, {saved})).rejects.toMatchObject({status});
    expect(chunks(rig)).toEqual([CHUNK]);
  },
);

describe('a registry that wants large chunks', () => {
  it('gets them', async () => {
    await using rig = await TransferRig.start({sandbox: {flavour: {minChunk: MIN_CHUNK}}});
    const blob = await rig.blob(SIZE);
    await rig.transfer(blob);
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(chunks(rig)).toEqual([MIN_CHUNK, MIN_CHUNK, MIN_CHUNK, SIZE - 3 * MIN_CHUNK]);
  });

  it('gets them in an upload of an earlier run, too', async () => {
    await using rig = await TransferRig.start({sandbox: {flavour: {minChunk: MIN_CHUNK}}});
    const {blob, saved} = await leaveUpload(rig, randomBytes(SIZE), MIN_CHUNK);
    const told = await rig.transfer(blob, {saved});
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(told.sent).toBe(SIZE - MIN_CHUNK);
    expect(chunks(rig)).toEqual([MIN_CHUNK, MIN_CHUNK, MIN_CHUNK, SIZE - 3 * MIN_CHUNK]);
  });
});
