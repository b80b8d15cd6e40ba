import {describe, expect, it} from 'vitest';
import type {RunEvent} from '../../src/model/event.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import type {FaultRuleInput} from '../../src/sandbox/faults/fault.ts';
import {CopyRig, scriptOf} from '../support/copy-rig.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {CHUNK} from '../support/transfer-rig.ts';

const FROM = 'from/app' as RepositoryPath;
const TO = 'to/app' as RepositoryPath;

/** Two images that share a layer, and the plan to copy them. */
async function startCopy() {
  const rig = await CopyRig.start();
  const shared = someBytes(3 * CHUNK);
  const layers = [shared, someBytes(CHUNK + 1), someBytes(100)] as const;
  await storeImage(rig.source.storage, FROM, 'v1', [shared, layers[1]]);
  await storeImage(rig.source.storage, FROM, 'v2', [shared, layers[2]]);
  const plan = await rig.plan(FROM, TO);
  return {rig, plan, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]()};
}

function tagsOf(rig: CopyRig): Promise<readonly Tag[]> {
  return rig.destination.storage.manifests.tags(TO);
}

const refuseUploads: FaultRuleInput = {
  method: 'POST',
  times: 99,
  fault: {kind: 'refuse', status: 403},
};

describe('a copy', () => {
  it('reports what the destination has acknowledged, and never more than it has', async () => {
    await using copy = await startCopy();
    const {rig, plan} = copy;
    const events: Extract<RunEvent, {type: 'blob-progress'}>[] = [];
    await rig.apply(plan, {
      destination: scriptOf([
        {method: 'PATCH', skip: 2, fault: {kind: 'cut-request', after: 1000}},
      ]),
      report: (event) => {
        if (event.type === 'blob-progress') events.push(event);
      },
    });
    for (const {digest, size} of plan.blobs) {
      const steps = events.filter((event) => event.digest === digest);
      expect(steps.at(-1)?.acknowledged).toBe(size);
      expect(steps.every(({acknowledged}) => acknowledged <= size)).toBe(true);
    }
    expect(events.map(({acknowledged}) => acknowledged)).toContain(CHUNK);
  });

  it.each([
    ['once', 1],
    ['always', 99],
  ])('finds out that the registry lies about a blob %s', async (_what, times) => {
    await using copy = await startCopy();
    const {rig, plan} = copy;
    const refused = await rig.apply(plan, {destination: scriptOf([refuseUploads])});
    expect(refused.result).toBe('failed');
    const lies = scriptOf([{fault: {kind: 'claim-present'}, times}]);
    expect(await rig.apply(plan, {destination: lies})).toMatchObject({result: 'done'});
    expect(lies.injected.length).toBeGreaterThan(0);
    expect(await rig.problems()).toEqual([]);
    expect(await tagsOf(rig)).toEqual(['v1', 'v2']);
  });

  it('carries on with the others where one image cannot be had', async () => {
    await using copy = await startCopy();
    const {rig, plan} = copy;
    const broken = plan.blobs.find(({size}) => size === CHUNK + 1);
    const gone: FaultRuleInput = {
      method: 'GET',
      path: broken?.digest ?? '',
      times: 99,
      fault: {kind: 'refuse', status: 404, code: 'BLOB_UNKNOWN'},
    };
    const result = await rig.apply(plan, {source: scriptOf([gone])});
    expect(result.result).toBe('failed');
    expect(await tagsOf(rig)).toEqual(['v2']);
    expect(await rig.problems()).toEqual([]);
    expect(await rig.apply(plan)).toMatchObject({result: 'done'});
    expect(await tagsOf(rig)).toEqual(['v1', 'v2']);
  });

  it.each([
    ['mounts in the second repository what the first one got', [], {mounted: 5, copied: 5}],
    [
      'sends what the registry will not mount',
      [{times: 99, fault: {kind: 'decline-mount'}}],
      {mounted: 0, copied: 10},
    ],
  ] as const)('%s', async (_what, rules, blobs) => {
    await using copy = await startCopy();
    const {rig} = copy;
    const plan = await rig.plan(FROM, TO, 'to/other');
    const destination = scriptOf(rules);
    expect(await rig.apply(plan, {destination})).toMatchObject({result: 'done', blobs});
    expect(destination.injected).toHaveLength(rules.length * 5);
    expect(await rig.problems()).toEqual([]);
    expect(await rig.destination.storage.repositories()).toHaveLength(2);
  });

  it('sends blobs to a repository itself where the one to mount them from refuses them', async () => {
    await using copy = await startCopy();
    const {rig} = copy;
    const plan = await rig.plan(FROM, TO, 'to/other');
    const [first] = [...new Set(plan.blobs.flatMap(({mountFrom}) => mountFrom ?? []))];
    const refused = first?.endsWith(TO) === true ? TO : 'to/other';
    const destination = scriptOf([{...refuseUploads, path: `/v2/${refused}/`}]);
    const result = await rig.apply(plan, {destination});
    expect(result).toMatchObject({result: 'failed', blobs: {copied: 5, mounted: 0}});
    expect(result.steps.map(({outcome}) => outcome).toSorted()).toEqual([
      'done',
      'done',
      'failed',
      'failed',
    ]);
    expect(await rig.problems()).toEqual([]);
    expect(await rig.apply(plan)).toMatchObject({result: 'done'});
  });

  it.each([
    ['a repository of the destination', 'destination', '/v2/to/app/', 403, 'FORBIDDEN'],
    ['a tag of the source', 'source', '/manifests/v1', 500, 'REGISTRY_UNAVAILABLE'],
  ] as const)(
    'of which %s cannot be read does the rest',
    async (_what, side, path, status, code) => {
      await using copy = await startCopy();
      const {rig} = copy;
      const plan = await rig.plan(FROM, TO, 'to/other');
      const refused = scriptOf([{path, times: 999, fault: {kind: 'refuse', status}}]);
      const {result, steps} = await rig.apply(plan, {[side]: refused});
      expect(result).toBe('failed');
      const failed = steps.filter(({outcome}) => outcome === 'failed');
      expect(failed.map(({error}) => error?.code)).toEqual([code, code]);
      expect(steps.filter(({outcome}) => outcome === 'done')).toHaveLength(2);
      expect(await rig.apply(plan)).toMatchObject({result: 'done'});
      expect(await rig.problems()).toEqual([]);
    },
  );
});
