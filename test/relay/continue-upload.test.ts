import {randomBytes} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import type {SavedUpload} from '../../src/model/port.ts';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {ChunkSize} from '../../src/relay/chunk-size.ts';
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
  it('is replaced by a new one in the next run, immediately', async () => {
    await using rig = await TransferRig.start({destination: [unaskable(status, code)]});
    const {blob, saved} = await leaveUpload(rig, randomBytes(SIZE), CHUNK);
    const told = await rig.transfer(blob, {saved});
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect([told.sent, told.retries]).toEqual([SIZE, 0]);
    expect(rig.destinationFaults.injected).toHaveLength(1);
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

describe('a registry whose chunks do not work', () => {
  const PATCH = {method: 'PATCH', about: 'upload', times: 99} as const;

  it.each([
    ['refuses each chunk at the offset that it names', {kind: 'refuse', status: 416}, 0],
    ['has no PATCH', {kind: 'refuse', status: 405}, 0],
    [
      'accepts each chunk, keeps none, and says so',
      {kind: 'answer', status: 202, headers: {range: '0-0'}},
      SIZE,
    ],
  ] as const)('gets blobs in one request where it %s', async (_what, fault, chunked) => {
    await using rig = await TransferRig.start({destination: [{...PATCH, fault}]});
    const blob = await rig.blob(SIZE);
    const told = await rig.transfer(blob);
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(told.sent).toBeGreaterThanOrEqual(SIZE + chunked);
    expect(told.sent).toBeLessThanOrEqual(SIZE + chunked + 2 * CHUNK);
    expect(rig.notices).toEqual(['FEATURE_NOT_USED']);
  });

  it('is remembered', async () => {
    const fault = {kind: 'refuse', status: 416} as const;
    await using rig = await TransferRig.start({destination: [{...PATCH, fault}]});
    const settings = {chunkSize: new ChunkSize({min: CHUNK, max: CHUNK})};
    await rig.transfer(await rig.blob(SIZE), {settings});
    const before = rig.destinationFaults.injected.length;
    const blob = await rig.blob(SIZE);
    const told = await rig.transfer(blob, {settings});
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect([told.sent, rig.destinationFaults.injected.length]).toEqual([SIZE, before]);
  });

  it('and that also refuses the complete blob ends with its refusal', async () => {
    const fault = {kind: 'refuse', status: 416} as const;
    const tooLarge = {method: 'PUT', about: 'upload', times: 99} as const;
    await using rig = await TransferRig.start({
      destination: [
        {...PATCH, fault},
        {...tooLarge, fault: {kind: 'refuse', status: 413}},
      ],
    });
    const transferring = rig.transfer(await rig.blob(SIZE));
    await expect(transferring).rejects.toMatchObject({code: 'PAYLOAD_TOO_LARGE'});
  });
});

it.each([
  ['the range of the chunk', ({start, end}: {start: number; end: number}) => `${start}-${end}`],
  ['the range of the first chunk', () => `0-${CHUNK - 1}`],
])('chunks are sent one after the other where each is answered with %s', async (_what, range) => {
  await using rig = await TransferRig.start({
    rewrite: (exchange, reply) => {
      if (exchange.method !== 'PATCH') return reply;
      const [start = 0, end = 0] = (exchange.headers['content-range'] ?? '').split('-').map(Number);
      return {...reply, headers: {...reply.headers, range: range({start, end})}};
    },
  });
  const blob = await rig.blob(SIZE);
  const told = await rig.transfer(blob);
  expect(await rig.kept(blob)).toBe(blob.digest);
  expect([told.sent, told.retries]).toEqual([SIZE, 0]);
});
