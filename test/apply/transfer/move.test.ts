import {expect, test} from 'vitest';
import {gaps} from '../../../src/sandbox/gitlab/event-log.ts';
import {readdir} from 'node:fs/promises';
import {TransferRig} from './rig.ts';

const OLD = 'org/build/app';
const NEW = 'new_org/build/renamed';

for (const mode of ['legacy', 'metadata-db'] as const) {
  for (const donor of ['directory', 'project'] as const) {
    test(`a project moves with its images by a ${donor}: ${mode}`, async () => {
      await using rig = await TransferRig.start({mode, donor});
      const before = await rig.tagsBelow(OLD);
      const result = await rig.apply();
      expect(result.result).toBe('done');
      expect(result.steps.filter(({outcome}) => outcome !== 'done')).toEqual([]);
      expect(await rig.tagsBelow(NEW)).toEqual(before);
      expect(await rig.tagsBelow(OLD)).toEqual({});
      expect((await rig.compare('donor')).differences).toEqual([]);
      expect((await rig.compare('target')).differences).toEqual([]);
    });
  }
}

test('applied again, a done plan changes nothing', async () => {
  await using rig = await TransferRig.start({donor: 'project'});
  await rig.apply();
  const {length} = rig.sandbox.events.events;
  const again = await rig.apply({consent: 'nobody'});
  expect(again.result).toBe('done');
  expect(again.bytes.sent).toBe(0);
  expect(rig.sandbox.events.events).toHaveLength(length);
});

test('the cleanup policy is paused during the move, and put back as it was', async () => {
  await using rig = await TransferRig.start();
  const {id} = rig.move.project;
  const policy = async () => {
    const {json} = await rig.api('GET', `projects/${id}`);
    const {container_expiration_policy: found} = json as Record<string, object>;
    const {next_run_at: _next, ...rest} = found as Record<string, unknown>;
    return rest;
  };
  const before = await policy();
  const seen: unknown[] = [];
  rig.onRequest = async ({method}) => {
    // Before the first deletion.
    if (method === 'DELETE' && seen.length === 0) {
      seen.push('first');
      seen.push((await policy())['enabled']);
    }
  };
  await rig.apply();
  expect(seen).toEqual(['first', false]);
  expect(await policy()).toEqual(before);
});

test('GitLab moves the images itself where it can', async () => {
  await using rig = await TransferRig.start({
    mode: 'metadata-db',
    staged: false,
    to: 'org/build/renamed',
  });
  expect(rig.move.way).toBe('native');
  const before = await rig.tagsBelow(OLD);
  expect((await rig.apply({consent: 'nobody'})).result).toBe('done');
  expect(await rig.tagsBelow('org/build/renamed')).toEqual(before);
  expect(gaps(rig.sandbox.events.events)).toEqual([]);
});

test('a donor directory is removed on request', async () => {
  await using rig = await TransferRig.start({donor: 'directory'});
  await rig.apply();
  expect((await rig.apply({removesDonor: true})).result).toBe('done');
  await expect(readdir(rig.move.donor.path)).rejects.toMatchObject({code: 'ENOENT'});
  expect((await rig.compare('target')).differences).toEqual([]);
});

test('a donor project that was created for it is removed on request, after its tags', async () => {
  await using rig = await TransferRig.start({donor: 'project'});
  expect((await rig.apply({removesDonor: true})).result).toBe('done');
  expect(await rig.tagsBelow('donors/parking')).toEqual({});
  const {events} = rig.sandbox.events;
  expect(events.at(-1)).toMatchObject({kind: 'project-deleted', path: 'donors/parking'});
  expect((await rig.compare('target')).differences).toEqual([]);
});
