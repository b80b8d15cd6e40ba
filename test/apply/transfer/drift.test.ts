import {expect, test} from 'vitest';
import type {RunEvent} from '../../../src/model/event.ts';
import type {RepositoryPath, Tag} from '../../../src/model/reference.ts';
import {TransferRig} from './rig.ts';

const OLD = 'org/build/app';
const NEW = 'new_org/build/renamed';

/** Calls `then` when the step begins. */
function atStep(step: string, then: () => void): (event: RunEvent) => void {
  return (event) => {
    if (event.type === 'step-started' && event.step === step) then();
  };
}

function writesOf(rig: TransferRig): number {
  return rig.sandbox.log.entries.filter(({method}) => method !== 'GET' && method !== 'HEAD').length;
}

test.each([
  ['a new tag', `${OLD}:v1`, `${OLD}:new`],
  ['a tag that moved', `${OLD}/tools:1.0`, `${OLD}:v1`],
  ['a new repository', `${OLD}:v1`, `${OLD}/other:v1`],
])('%s since planning stops the run before its first write', async (_what, from, to) => {
  await using rig = await TransferRig.start();
  // GitLab makes the record when somebody asks for a token to push.
  await rig.retag(from, to);
  await rig.record(to.slice(0, to.lastIndexOf(':')));
  const before = [await rig.tagsBelow(OLD), writesOf(rig)];
  const result = await rig.apply();
  expect(result.result).toBe('drift');
  expect(result.drift).toHaveLength(1);
  expect(result.drift?.[0]).toMatchObject({side: 'source'});
  expect([await rig.tagsBelow(OLD), writesOf(rig)]).toEqual(before);
});

test('a tag that was deleted since planning is drift, unless the donor has it', async () => {
  await using rig = await TransferRig.start({donor: 'project'});
  await rig.sandbox.storage.manifests.untag(OLD as RepositoryPath, 'v1' as Tag);
  expect(await rig.apply()).toMatchObject({result: 'drift', drift: [{tag: 'v1', actual: null}]});
});

test.each(['new', 'v1'])('%s, pushed while the images were pulled, is not deleted', async (tag) => {
  await using rig = await TransferRig.start();
  let isPushed = false;
  rig.onRequest = async ({path}) => {
    if (isPushed || !path.endsWith('/registry/repositories') || !rig.isAt('delete-old')) return;
    isPushed = true;
    await rig.retag(`${OLD}/tools:1.0`, `${OLD}:${tag}`);
  };
  const before = await rig.tagsBelow(OLD);
  const result = await rig.apply();
  expect(result).toMatchObject({result: 'drift', drift: [{tag}]});
  expect(await rig.tagsBelow(OLD)).toEqual({...before, [`:${tag}`]: before['/tools:1.0']});
});

test('a tag pushed while the old path is emptied is kept, also after a rollback', async () => {
  await using rig = await TransferRig.start();
  const before = await rig.tagsBelow(OLD);
  rig.retagAtFirstDelete(`${OLD}/tools:1.0`, `${OLD}:late`);
  const result = await rig.apply();
  expect(result).toMatchObject({result: 'drift', drift: [{tag: 'late', planned: null}]});
  expect((await rig.tagsBelow(OLD))[':late']).toBe(before['/tools:1.0']);
  expect((await rig.rollback()).result).toBe('done');
  expect(await rig.tagsBelow(OLD)).toEqual({...before, ':late': before['/tools:1.0']});
});

test('a tag pushed to the new path meanwhile is kept, and all others are pushed', async () => {
  await using rig = await TransferRig.start();
  const before = await rig.tagsBelow(OLD);
  let isPushed = false;
  rig.onRequest = async ({path}) => {
    if (isPushed || !path.includes(`/v2/${NEW}/`)) return;
    isPushed = true;
    await rig.retag('donors/x:v1', `${NEW}:v1`);
  };
  await rig.retag(`${OLD}/tools:1.0`, 'donors/x:v1');
  const result = await rig.apply();
  expect(result).toMatchObject({result: 'drift', drift: [{side: 'destination', tag: 'v1'}]});
  expect(await rig.tagsBelow(NEW)).toEqual({...before, ':v1': before['/tools:1.0']});
});

test('a registry that becomes read-only stops the run before anything is lost; it resumes later', async () => {
  await using rig = await TransferRig.start();
  const before = await rig.tagsBelow(OLD);
  const {switches} = rig.sandbox;
  const result = await rig.apply({
    onEvent: atStep('delete-old', () => {
      switches.readOnly = true;
    }),
  });
  const failed = result.steps.find(({outcome}) => outcome === 'failed');
  expect(failed).toMatchObject({id: 'delete-old', error: {code: 'UNSUPPORTED_BY_REGISTRY'}});
  expect(await rig.tagsBelow(OLD)).toEqual(before);
  switches.readOnly = false;
  expect((await rig.apply()).result).toBe('done');
});

test('a tag that was protected since planning stays, and rolling back brings the others back', async () => {
  await using rig = await TransferRig.start({mode: 'metadata-db'});
  const before = await rig.tagsBelow(OLD);
  const rule = {
    tag_name_pattern: 'v1',
    minimum_access_level_for_push: 'admin',
    minimum_access_level_for_delete: 'admin',
  };
  const path = `projects/${rig.move.project.id}/registry/protection/tag/rules`;
  expect((await rig.api('POST', path, {body: rule, token: 'root-api'})).status).toBe(201);
  const result = await rig.apply();
  const failed = result.steps.find(({outcome}) => outcome === 'failed');
  expect(failed).toMatchObject({id: 'delete-old', error: {code: 'PROTECTED'}});
  expect((await rig.tagsBelow(OLD))[':v1']).toBe(before[':v1']);
  expect((await rig.rollback()).result).toBe('done');
  expect(await rig.tagsBelow(OLD)).toEqual(before);
});

test('a project that took the new path since planning is noticed before the first write', async () => {
  await using rig = await TransferRig.start({to: 'new_org/build/app'});
  const {json} = await rig.api('GET', 'namespaces/new_org%2Fbuild');
  const {id} = json as {readonly id: number};
  const body = {path: 'app', name: 'app', namespace_id: id};
  expect((await rig.api('POST', 'projects', {body})).status).toBe(201);
  const before = writesOf(rig);
  await expect(rig.apply()).rejects.toMatchObject({code: 'NAME_TAKEN'});
  expect(writesOf(rig)).toBe(before);
});

test('a project that was moved elsewhere is drift', async () => {
  await using rig = await TransferRig.start({images: []});
  const {id} = rig.move.project;
  expect((await rig.api('PUT', `projects/${id}`, {body: {path: 'elsewhere'}})).status).toBe(200);
  await expect(rig.apply()).rejects.toMatchObject({code: 'DRIFT'});
});

test('a registry that keeps deleted tags is reported, with the reason', async () => {
  await using rig = await TransferRig.start();
  const before = await rig.tagsBelow(OLD);
  rig.keepsTags = true;
  const result = await rig.apply();
  const failed = result.steps.find(({outcome}) => outcome === 'failed');
  expect(failed).toMatchObject({id: 'delete-old', error: {code: 'REPOSITORY_DELETE_FAILED'}});
  expect(await rig.tagsBelow(OLD)).toEqual(before);
});

test('without anybody who agrees nothing is done at all', async () => {
  await using rig = await TransferRig.start();
  const before = [await rig.tagsBelow(OLD), writesOf(rig)];
  await expect(rig.apply({consent: 'nobody'})).rejects.toMatchObject({code: 'USAGE'});
  const no = await rig.apply({consent: 'refused'});
  expect(no.result).toBe('interrupted');
  expect([await rig.tagsBelow(OLD), writesOf(rig)]).toEqual(before);
});

test('a file at the donor that was damaged keeps the old path from being emptied', async () => {
  await using rig = await TransferRig.start();
  const before = await rig.tagsBelow(OLD);
  const result = await rig.apply({onEvent: atStep('verify-donor', () => rig.damageDonor())});
  const failed = result.steps.find(({outcome}) => outcome === 'failed');
  expect(failed).toMatchObject({id: 'verify-donor', error: {code: 'VERIFY_FAILED'}});
  expect(await rig.tagsBelow(OLD)).toEqual(before);
});
