import {describe, expect, it} from 'vitest';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {cutAnswer, cutRequest, on, refuse, wrongOffset} from '../support/fault-rules.ts';
import {CHUNK, KiB, TransferRig} from '../support/transfer-rig.ts';

type Side = 'source' | 'destination';

/** Bodies of more than 256 KiB wait in lanes of their own (`LARGE_BODY` in src/http/request.ts). */
const CHUNKS = [64 * KiB, 512 * KiB];

/** So large is a blob of six chunks. */
function sizeFor(chunk: number): number {
  return 5 * chunk + 1234;
}

/** Bytes that a transfer sends beyond those of the blob: at most, and at least. */
interface Extra {
  readonly most: number;
  readonly least?: number;
}

/** Rules that a transfer of several chunks survives, and what it costs. */
function survived(
  chunk: number,
): readonly (readonly [string, Side, readonly FaultRuleInput[], Extra])[] {
  const size = sizeFor(chunk);
  const none = {most: 0};
  const one = {most: chunk};
  const all = {most: size, least: size};
  // The last bytes are not sent where they show that the sum is wrong.
  const found = {most: size, least: 4 * chunk};
  const third = Math.floor(chunk / 3);
  const lost = {kind: 'lose-answer'} as const;
  const gone = {kind: 'lose-upload'} as const;
  const reset = {kind: 'reset'} as const;
  return [
    ['a chunk that is cut', 'destination', [cutRequest(1000, {skip: 2})], one],
    ['a chunk that is cut at its end', 'destination', [cutRequest(chunk, {skip: 2})], one],
    [
      'chunks that are cut again and again',
      'destination',
      [cutRequest(9000, {times: 20})],
      {most: 20 * chunk},
    ],
    ['a lost answer to a chunk', 'destination', [on('PATCH', lost, {skip: 1})], none],
    ['a reset', 'destination', [on('PATCH', reset, {skip: 1})], one],
    ['a lost answer to the closing request', 'destination', [on('PUT', lost)], none],
    ['a lost upload', 'destination', [on('PATCH', gone, {skip: 3})], {...all, least: 3 * chunk}],
    ['an upload lost at the end', 'destination', [on('PUT', gone)], all],
    ['an offset said too high', 'destination', [wrongOffset(500, 1)], one],
    ['an offset said too low', 'destination', [wrongOffset(-500, 1)], one],
    ['an offset beyond the end', 'destination', [wrongOffset(size, 1)], one],
    ['416', 'destination', [refuse('PATCH', 416, {skip: 1})], one],
    ['401 in the middle', 'destination', [refuse('PATCH', 401, {skip: 1}, 100)], one],
    ['502 and 503', 'destination', [refuse('PATCH', 502), refuse('PATCH', 503)], {most: 2 * chunk}],
    ['503 at the closing request', 'destination', [refuse('PUT', 503, {times: 4})], none],
    ['429', 'destination', [refuse('PATCH', 429, {skip: 1})], one],
    ['a wrong sum, once', 'destination', [on('PUT', {kind: 'refuse-digest'})], all],
    ['a broken POST', 'destination', [on('POST', reset, {times: 4})], none],
    ['a read that is cut', 'source', [cutAnswer(1000)], none],
    ['reads that are cut again and again', 'source', [cutAnswer(third, {times: 12})], none],
    ['reads that end before they begin', 'source', [cutAnswer(0, {times: 5})], none],
    ['503 at the source', 'source', [refuse('GET', 503, {times: 5})], none],
    ['links that have expired', 'source', [on('GET', {kind: 'redirect', expired: true})], none],
    ['a link that works', 'source', [on('GET', {kind: 'redirect'}, {times: 100})], none],
    ['a flipped bit', 'source', [on('GET', {kind: 'flip-bit', at: 1000})], found],
  ];
}

describe.each(CHUNKS)('a blob in chunks and parts of %i bytes survives', (chunk) => {
  const size = sizeFor(chunk);

  it.each(survived(chunk))('%s', async (_what, side, rules, {most, least = 0}) => {
    await using rig = await TransferRig.start({[side]: rules, chunk, part: chunk});
    const blob = await rig.blob(size);
    const told = await rig.transfer(blob);
    const faults = side === 'source' ? rig.sourceFaults : rig.destinationFaults;
    expect(faults.injected.length).toBeGreaterThan(0);
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(told.acknowledged.at(-1)).toBe(size);
    expect(told.sent).toBeLessThanOrEqual(size + most);
    expect(told.sent).toBeGreaterThanOrEqual(size + least);
  });

  it('early 413, in smaller chunks then', async () => {
    const tooLarge = refuse('PATCH', 413, {skip: 1});
    await using rig = await TransferRig.start({destination: [tooLarge], chunk, part: chunk});
    const blob = await rig.blob(size);
    await rig.transfer(blob);
    expect(await rig.kept(blob)).toBe(blob.digest);
    const halves = Array.from({length: 8}, () => chunk / 2);
    expect(chunksOf(rig)).toEqual([chunk, chunk, ...halves, 1234]);
  });
});

/** Sizes of the chunks that were begun, as the requests say. */
function chunksOf({sandboxes}: TransferRig): readonly number[] {
  return sandboxes.destination.log.entries
    .filter(({method}) => method === 'PATCH')
    .map(({contentRange = ''}) => {
      const [start, last] = contentRange.split('-').map(Number);
      return (last ?? Number.NaN) - (start ?? Number.NaN) + 1;
    });
}

describe.each([
  [50 * KiB, 64 * KiB],
  [400 * KiB, 512 * KiB],
])('a blob of %i bytes in one request survives', (size, chunk) => {
  const WHOLE: readonly (readonly [string, Side, FaultRuleInput[]])[] = [
    ['a cut', 'destination', [on('PUT', {kind: 'cut-request', after: 1000}, {times: 3})]],
    ['a lost answer', 'destination', [on('PUT', {kind: 'lose-answer'})]],
    ['a lost upload', 'destination', [on('PUT', {kind: 'lose-upload'})]],
    ['401 in the middle', 'destination', [refuse('PUT', 401, {}, 100)]],
    ['503', 'destination', [refuse('PUT', 503)]],
    ['429', 'destination', [refuse('POST', 429, {times: 2})]],
    ['a wrong sum, once', 'destination', [on('PUT', {kind: 'refuse-digest'})]],
    ['a read that is cut', 'source', [cutAnswer(1000, {times: 5})]],
    ['a flipped bit', 'source', [on('GET', {kind: 'flip-bit', at: 10})]],
  ];

  it.each(WHOLE)('%s', async (_what, side, rules) => {
    await using rig = await TransferRig.start({[side]: rules, chunk, part: chunk});
    const blob = await rig.blob(size);
    const {acknowledged} = await rig.transfer(blob);
    const faults = side === 'source' ? rig.sourceFaults : rig.destinationFaults;
    expect(faults.injected.length).toBeGreaterThan(0);
    expect(chunksOf(rig)).toEqual([]);
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(acknowledged.at(-1)).toBe(blob.size);
  });
});

it('a blob in one request survives 413, in chunks then', async () => {
  const destination = [refuse('PUT', 413)];
  await using rig = await TransferRig.start({destination, chunk: 512 * KiB});
  const blob = await rig.blob(300 * KiB);
  await rig.transfer(blob);
  expect(await rig.kept(blob)).toBe(blob.digest);
  expect(chunksOf(rig)).toEqual([150 * KiB, 150 * KiB]);
});

it('a Location on another scheme is put right, and told once', async () => {
  const odd = {kind: 'https-location'} as const;
  await using rig = await TransferRig.start({
    destination: [on('POST', odd), on('PATCH', odd, {times: 9})],
  });
  const blob = await rig.blob(sizeFor(CHUNK));
  await rig.transfer(blob);
  expect(await rig.kept(blob)).toBe(blob.digest);
  expect(rig.destinationFaults.injected.length).toBeGreaterThan(5);
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
    [
      'a registry that fails for good, and is asked no oftener than a request is repeated',
      'destination',
      [refuse('POST', 502, {times: 99})],
      {code: 'REGISTRY_UNAVAILABLE', exhausted: true},
      6,
    ],
    [
      'a registry that answers 500 for good',
      'destination',
      [refuse('PATCH', 500, {times: 99})],
      {code: 'REGISTRY_UNAVAILABLE'},
      3,
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

  it.each(FINAL)('at %s', async (_what, side, rules, error, injected) => {
    await using rig = await TransferRig.start({[side]: rules});
    const blob = await rig.blob(2 * CHUNK + 100);
    await expect(rig.transfer(blob)).rejects.toMatchObject(error);
    const faults = side === 'source' ? rig.sourceFaults : rig.destinationFaults;
    expect(faults.injected).toHaveLength(injected);
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

it.each(CHUNKS)(
  'an upload that the registry discards when it is cut starts again, in chunks of %i bytes',
  async (chunk) => {
    await using rig = await TransferRig.start({
      destination: [cutRequest(1000, {skip: 2})],
      sandbox: {flavour: {losesCutUploads: true}},
      chunk,
      part: chunk,
    });
    const blob = await rig.blob(sizeFor(chunk));
    const told = await rig.transfer(blob);
    expect(await rig.kept(blob)).toBe(blob.digest);
    expect(told.acknowledged.filter((bytes) => bytes === 0)).toHaveLength(2);
  },
);
