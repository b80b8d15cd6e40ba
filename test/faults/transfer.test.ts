import {describe, expect, it} from 'vitest';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {CHUNK, KiB, TransferRig} from '../support/transfer-rig.ts';

const SIZE = 5 * CHUNK + 1234;

type Side = 'source' | 'destination';

/** Rules that a transfer of several chunks survives, and how many bytes it may send more than the blob has. */
const SURVIVED: readonly (readonly [string, Side, FaultRuleInput[], number])[] = [
  ['a chunk that is cut', 'destination', [cutRequest(1000, {skip: 2})], CHUNK],
  ['a chunk that is cut at its end', 'destination', [cutRequest(CHUNK, {skip: 2})], CHUNK],
  ['chunks that are cut again and again', 'destination', [cutRequest(9000, {times: 20})], SIZE * 9],
  ['a lost answer to a chunk', 'destination', [on('PATCH', {kind: 'lose-answer'}, {skip: 1})], 0],
  ['a reset', 'destination', [on('PATCH', {kind: 'reset'}, {skip: 1})], CHUNK],
  ['a lost answer to the closing request', 'destination', [on('PUT', {kind: 'lose-answer'})], 0],
  ['a lost upload', 'destination', [on('PATCH', {kind: 'lose-upload'}, {skip: 3})], SIZE],
  ['an upload lost at the end', 'destination', [on('PUT', {kind: 'lose-upload'})], SIZE],
  ['an offset said too high', 'destination', [wrongOffset(500, 1)], CHUNK],
  ['an offset said too low', 'destination', [wrongOffset(-500, 1)], CHUNK],
  ['an offset beyond the end', 'destination', [wrongOffset(SIZE, 1)], CHUNK],
  ['416', 'destination', [refuse('PATCH', 416, {skip: 1})], CHUNK],
  ['401 in the middle', 'destination', [refuse('PATCH', 401, {skip: 1}, 100)], CHUNK],
  ['early 413', 'destination', [refuse('PATCH', 413, {skip: 1})], CHUNK],
  ['502 and 503', 'destination', [refuse('PATCH', 502), refuse('PATCH', 503)], 2 * CHUNK],
  ['503 at the closing request', 'destination', [refuse('PUT', 503, {times: 4})], 0],
  ['429 in seconds', 'destination', [limited('0')], CHUNK],
  ['429 until a date', 'destination', [limited('Thu, 01 Jan 2026 00:00:00 GMT')], CHUNK],
  ['a wrong sum, once', 'destination', [on('PUT', {kind: 'refuse-digest'})], SIZE],
  ['a broken POST', 'destination', [on('POST', {kind: 'reset'}, {times: 4})], 0],
  ['a read that is cut', 'source', [cutAnswer(1000)], 0],
  ['reads that are cut again and again', 'source', [cutAnswer(20_000, {times: 30})], 0],
  ['reads that end before they begin', 'source', [cutAnswer(0, {times: 5})], 0],
  ['503 at the source', 'source', [refuse('GET', 503, {times: 5})], 0],
  ['links that have expired', 'source', [on('GET', {kind: 'redirect', expired: true})], 0],
  ['a link that works', 'source', [on('GET', {kind: 'redirect'}, {times: 100})], 0],
  ['a flipped bit', 'source', [on('GET', {kind: 'flip-bit', at: 70_000})], SIZE],
];

describe('a blob in chunks survives', () => {
  it.each(SURVIVED)('%s', async (_what, side, rules, extra) => {
    await using rig = await TransferRig.start({[side]: rules});
    const blob = await rig.blob(SIZE);
    const told = await rig.transfer(blob);
    const faults = side === 'source' ? rig.sourceFaults : rig.destinationFaults;
    expect(faults.strikes.length).toBeGreaterThan(0);
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(told.acknowledged.at(-1)).toBe(SIZE);
    expect(told.sent).toBeLessThanOrEqual(SIZE + extra);
  });
});

describe('a blob in one request survives', () => {
  const WHOLE: readonly (readonly [string, Side, FaultRuleInput[]])[] = [
    ['a cut', 'destination', [on('PUT', {kind: 'cut-request', after: 1000}, {times: 3})]],
    ['a lost answer', 'destination', [on('PUT', {kind: 'lose-answer'})]],
    ['a lost upload', 'destination', [on('PUT', {kind: 'lose-upload'})]],
    ['401 in the middle', 'destination', [refuse('PUT', 401, {}, 100)]],
    ['503', 'destination', [refuse('PUT', 503)]],
    ['429', 'destination', [refuse('POST', 429, {times: 2})]],
    ['a wrong sum, once', 'destination', [on('PUT', {kind: 'refuse-digest'})]],
    ['a read that is cut', 'source', [cutAnswer(1000, {times: 10})]],
    ['a flipped bit', 'source', [on('GET', {kind: 'flip-bit', at: 10})]],
  ];

  it.each(WHOLE)('%s', async (_what, side, rules) => {
    await using rig = await TransferRig.start({[side]: rules});
    const blob = await rig.blob(50 * KiB);
    const {acknowledged} = await rig.transfer(blob);
    const faults = side === 'source' ? rig.sourceFaults : rig.destinationFaults;
    expect(faults.strikes.length).toBeGreaterThan(0);
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(acknowledged.at(-1)).toBe(blob.size);
  });

  it('413, in chunks then', async () => {
    await using rig = await TransferRig.start({destination: [refuse('PUT', 413)]});
    const blob = await rig.blob(300 * KiB);
    const {ChunkSize} = await import('../../src/transfer/chunk-size.ts');
    const chunkSize = new ChunkSize({min: 512 * KiB, max: 512 * KiB});
    await rig.transfer(blob, {settings: {chunkSize}});
    expect(await rig.kept(blob)).toBe(blob.digest);
    const chunks = rig.sandboxes.destination.log.entries.filter(({method}) => method === 'PATCH');
    expect(chunks.map(({bytesIn}) => bytesIn)).toEqual([150 * KiB, 150 * KiB]);
  });
});

it('a Location on another scheme is put right, and told once', async () => {
  const odd = {kind: 'https-location'} as const;
  await using rig = await TransferRig.start({
    destination: [on('POST', odd), on('PATCH', odd, {times: 9})],
  });
  const blob = await rig.blob(SIZE);
  await rig.transfer(blob);
  expect(await rig.kept(blob)).toBe(blob.digest);
  expect(rig.destinationFaults.strikes.length).toBeGreaterThan(5);
  expect(rig.notices).toEqual(['UPLOAD_LOCATION_HTTPS']);
});

describe('gives up, with a code,', () => {
  const FINAL: readonly (readonly [string, Side, FaultRuleInput[], object, number])[] = [
    ['403', 'destination', [refuse('POST', 403)], {code: 'FORBIDDEN', side: 'destination'}, 1],
    ['401', 'destination', [refuse('POST', 401)], {code: 'UNAUTHORIZED'}, 1],
    [
      '401 that stays',
      'destination',
      [{about: 'upload', skip: 1, times: 99, fault: {kind: 'refuse', status: 401}}],
      {code: 'UNAUTHORIZED'},
      2,
    ],
    [
      'a wrong sum, twice',
      'destination',
      [on('PUT', {kind: 'refuse-digest'}, {times: 9})],
      {code: 'BLOB_DIGEST_MISMATCH'},
      2,
    ],
    [
      'an upload that is lost after each chunk',
      'destination',
      [on('PATCH', {kind: 'lose-upload'}, {skip: 1, times: 99})],
      {code: 'UPLOAD_LOST'},
      6,
    ],
    ['a source that is gone', 'source', [refuse('GET', 404)], {code: 'BLOB_NOT_FOUND'}, 1],
    [
      'a day of Retry-After',
      'destination',
      [refuse('PATCH', 429, {times: 9}, 0, {'retry-after': '86400'})],
      {code: 'RATE_LIMITED', retryAfterMs: 86_400_000},
      1,
    ],
  ];

  it.each(FINAL)('at %s', async (_what, side, rules, error, strikes) => {
    await using rig = await TransferRig.start({[side]: rules});
    const blob = await rig.blob(2 * CHUNK + 100);
    await expect(rig.transfer(blob)).rejects.toMatchObject(error);
    const faults = side === 'source' ? rig.sourceFaults : rig.destinationFaults;
    expect(faults.strikes).toHaveLength(strikes);
    expect(await rig.kept(blob)).toBeUndefined();
  });
});

it('a source whose bytes are wrong twice is given up, and nothing of it is kept', async () => {
  const flipped = on('GET', {kind: 'flip-bit', at: 10}, {times: 99});
  await using rig = await TransferRig.start({source: [flipped]});
  const blob = await rig.blob(2 * CHUNK + 100);
  const wrong = {code: 'BLOB_DIGEST_MISMATCH', side: 'source'};
  await expect(rig.transfer(blob)).rejects.toMatchObject(wrong);
  expect(await rig.kept(blob)).toBeUndefined();
});

it('an upload that the registry gives up when it is cut starts anew', async () => {
  await using rig = await TransferRig.start({
    destination: [cutRequest(1000, {skip: 2})],
    sandbox: {flavour: {losesCutUploads: true}},
  });
  const blob = await rig.blob(SIZE);
  const told = await rig.transfer(blob);
  expect(await rig.kept(blob)).toBe(blob.digest);
  expect(told.acknowledged.filter((bytes) => bytes === 0)).toHaveLength(2);
});

type Fault = FaultRuleInput['fault'];
type Limits = Pick<FaultRuleInput, 'skip' | 'times'>;

function on(method: FaultRuleInput['method'], fault: Fault, limits: Limits = {}): FaultRuleInput {
  const about = method === 'GET' ? 'blob' : method === 'POST' ? 'uploads' : 'upload';
  return {method, about, ...limits, fault};
}

function cutRequest(after: number, limits: Limits): FaultRuleInput {
  return on('PATCH', {kind: 'cut-request', after}, limits);
}

function cutAnswer(after: number, limits: Limits = {}): FaultRuleInput {
  return on('GET', {kind: 'cut-answer', after}, limits);
}

function wrongOffset(by: number, skip: number): FaultRuleInput {
  return on('PATCH', {kind: 'wrong-offset', by}, {skip});
}

function refuse(
  method: FaultRuleInput['method'],
  status: number,
  limits: Limits = {},
  after = 0,
  headers: Record<string, string> = {},
): FaultRuleInput {
  return on(method, {kind: 'refuse', status, after, headers}, limits);
}

function limited(retryAfter: string): FaultRuleInput {
  return refuse('PATCH', 429, {skip: 1}, 0, {'retry-after': retryAfter});
}
