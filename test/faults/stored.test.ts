import {describe, expect, it} from 'vitest';
import type {RunEvent} from '../../src/model/event.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {CopyRig, scriptOf} from '../support/copy-rig.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {CHUNK} from '../support/transfer-rig.ts';

const FROM = 'from/app' as RepositoryPath;
const TO = 'to/app' as RepositoryPath;

type Answer = Omit<Extract<FaultRuleInput['fault'], {kind: 'answer'}>, 'kind'>;

const TEXT: Answer = {status: 200, text: 'alive', headers: {'content-type': 'text/plain'}};
const EMPTY: Answer = {status: 200};
const PAGE: Answer = {
  status: 200,
  text: '<html><title>Welcome</title></html>',
  headers: {'content-type': 'text/html'},
};
const ACCEPTED: Answer = {status: 202};
const CREATED: Answer = {status: 201, headers: {location: '/v2/elsewhere'}};

/** One image: a config, a layer in one request and a layer in chunks. */
async function startCopy() {
  const rig = await CopyRig.start();
  await storeImage(rig.source.storage, FROM, 'v1', [someBytes(2 * CHUNK), someBytes(100)]);
  return rig;
}

/** Applies the plan against a destination that gives `answer` in place of its own. */
async function applyWith(
  rig: CopyRig,
  rule: Omit<FaultRuleInput, 'fault'>,
  answer: Answer,
  ...to: readonly string[]
) {
  const plan = await rig.plan(FROM, TO, ...to);
  const events: RunEvent[] = [];
  const destination = scriptOf([{...rule, fault: {kind: 'answer', ...answer}}]);
  const result = await rig.apply(plan, {destination, report: (event) => events.push(event)});
  const retries = events.filter(({type}) => type === 'retrying').length;
  return {result, retries, injected: destination.injected};
}

const WRITES = [
  ['the manifest', {method: 'PUT', about: 'manifest'}],
  ['the end of an upload', {method: 'PUT', about: 'upload'}],
] as const;

describe.each(WRITES)('%s', (_what, rule) => {
  describe.each([
    ['200 and a text', TEXT],
    ['200 and nothing', EMPTY],
    ['200 and a page', PAGE],
    ['202', ACCEPTED],
    ['201 without a digest', CREATED],
  ])('answered with %s', (_answer, answer) => {
    it('is sent again where nothing was stored', async () => {
      await using rig = await startCopy();
      const {result, retries, injected} = await applyWith(rig, {...rule, times: 2}, answer);
      expect(result.result).toBe('done');
      expect(await rig.problems()).toEqual([]);
      expect(await rig.destination.storage.manifests.tags(TO)).toEqual(['v1']);
      expect([retries, injected.length]).toEqual([2, 2]);
    });

    it('is done if it was stored', async () => {
      await using rig = await startCopy();
      const stored = {...answer, carriedOut: true};
      const {result, retries, injected} = await applyWith(rig, {...rule, times: 99}, stored);
      expect(result.result).toBe('done');
      expect(await rig.problems()).toEqual([]);
      expect(retries).toBe(0);
      expect(injected.length).toBeGreaterThan(0);
    });
  });

  it('fails if it is never stored', async () => {
    await using rig = await startCopy();
    const {result} = await applyWith(rig, {...rule, times: 99}, TEXT);
    const [failed] = result.steps;
    expect(result.result).toBe('failed');
    expect(failed?.error).toMatchObject({code: 'CHANGE_NOT_SEEN', side: 'destination'});
    expect(failed?.error?.message).toContain('answered 200');
    expect(await rig.destination.storage.manifests.tags(TO)).toEqual([]);
  });
});

it('a child that was not stored is sent before its index', async () => {
  await using rig = await startCopy();
  const child = {method: 'PUT', about: 'manifest', path: '/manifests/sha256:'} as const;
  const {result} = await applyWith(rig, {...child, times: 1}, TEXT);
  expect(result.result).toBe('done');
});

it('no further requests are sent if the responses state what was stored', async () => {
  await using rig = await startCopy();
  const plan = await rig.plan(FROM, TO);
  const before = rig.destination.log.entries.length;
  await rig.apply(plan);
  const heads = rig.destination.log.entries.slice(before).filter(({method}) => method === 'HEAD');
  expect(heads.filter(({path}) => path.includes('/blobs/'))).toEqual([]);
});

describe('a mount', () => {
  const mount = {method: 'POST', about: 'mount'} as const;

  it.each([
    ['201 and nothing stored', CREATED],
    ['a page', PAGE],
  ])('answered with %s is replaced by an upload', async (_what, answer) => {
    await using rig = await startCopy();
    const {result} = await applyWith(rig, {...mount, times: 1}, answer, 'to/other');
    expect(result).toMatchObject({result: 'done', blobs: {mounted: 2, copied: 4}});
    expect(await rig.problems()).toEqual([]);
  });

  it('that fails each time is replaced by an upload, and not asked for again and again', async () => {
    await using rig = await startCopy();
    const plan = await rig.plan(FROM, TO, 'to/other');
    const destination = scriptOf([{...mount, times: 99, fault: {kind: 'refuse', status: 500}}]);
    const result = await rig.apply(plan, {destination});
    expect(result).toMatchObject({result: 'done', blobs: {mounted: 0, copied: 6}});
    expect(await rig.problems()).toEqual([]);
  });
});

it('an upload whose opening is answered with a text is opened again', async () => {
  await using rig = await startCopy();
  const opening = {method: 'POST', about: 'uploads'} as const;
  const {result, retries} = await applyWith(rig, {...opening, times: 3}, TEXT);
  expect(result.result).toBe('done');
  expect(retries).toBe(3);
  expect(await rig.problems()).toEqual([]);
});
