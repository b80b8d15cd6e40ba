import {expect, test} from 'vitest';
import type {Tag} from '../../../src/model/reference.ts';
import {type DonorKind, TransferRig} from './rig.ts';

const OLD = 'org/build/app';
const NEW = 'new_org/build/renamed';
const DONORS: readonly DonorKind[] = ['directory', 'project'];

test.each(DONORS)(
  'tags that came and moved since planning are taken along when asked for: %s',
  async (donor) => {
    await using rig = await TransferRig.start({donor});
    await rig.retag(`${OLD}/tools:1.0`, `${OLD}:new`);
    await rig.retag(`${OLD}/tools:1.0`, `${OLD}:v1`);
    const now = await rig.tagsBelow(OLD);
    expect((await rig.apply({adoptNewTags: true})).result).toBe('done');
    expect(await rig.tagsBelow(NEW)).toEqual(now);
    expect(await rig.tagsBelow(OLD)).toEqual({});
  },
);

test.each(DONORS)(
  'tags pushed while the old path is emptied are moved as well: %s',
  async (donor) => {
    await using rig = await TransferRig.start({donor});
    const before = await rig.tagsBelow(OLD);
    rig.retagAtFirstDelete(`${OLD}/tools:1.0`, `${OLD}:late`);
    expect((await rig.apply({adoptNewTags: true})).result).toBe('done');
    expect(await rig.tagsBelow(NEW)).toEqual({...before, ':late': before['/tools:1.0']});
  },
);

test.each(['change-namespace', 'push', 'verify-target'])(
  'after a kill at %s, the next run moves the tags that only the donor has, without the flag',
  async (step) => {
    await using rig = await TransferRig.start({donor: 'project'});
    await rig.retag(`${OLD}/tools:1.0`, `${OLD}:new`);
    const now = await rig.tagsBelow(OLD);
    await rig.applyKilledAt(step, {adoptNewTags: true});
    expect((await rig.apply()).result).toBe('done');
    expect(await rig.tagsBelow(NEW)).toEqual(now);
  },
);

test('after a kill before the deletion, the next run moves them only with the flag', async () => {
  await using rig = await TransferRig.start({donor: 'project'});
  await rig.retag(`${OLD}/tools:1.0`, `${OLD}:new`);
  const now = await rig.tagsBelow(OLD);
  await rig.applyKilledAt('delete-old', {adoptNewTags: true});
  const refused = await rig.apply();
  expect(refused).toMatchObject({result: 'drift', drift: [{tag: 'new', planned: null}]});
  expect(await rig.tagsBelow(OLD)).toEqual(now);
  expect((await rig.apply({adoptNewTags: true})).result).toBe('done');
  expect(await rig.tagsBelow(NEW)).toEqual(now);
});

test('a tag that only the journal adopts is drift', async () => {
  await using rig = await TransferRig.start();
  await rig.retag(`${OLD}/tools:1.0`, `${OLD}:forged`);
  const now = await rig.tagsBelow(OLD);
  const repository = rig.move.repositories.find(({from}) => from.endsWith(OLD))?.from ?? '';
  rig.journal.push({type: 'adopt', project: rig.move.project.id, repository, tag: 'forged' as Tag});
  expect((await rig.apply()).result).toBe('drift');
  expect(await rig.tagsBelow(OLD)).toEqual(now);
});

test('a rollback puts them back at the old path', async () => {
  await using rig = await TransferRig.start();
  await rig.retag(`${OLD}/tools:1.0`, `${OLD}:new`);
  const now = await rig.tagsBelow(OLD);
  await rig.applyKilledAt('change-namespace', {adoptNewTags: true});
  expect(await rig.tagsBelow(OLD)).toEqual({});
  expect((await rig.rollback()).result).toBe('done');
  expect(await rig.tagsBelow(OLD)).toEqual(now);
});
