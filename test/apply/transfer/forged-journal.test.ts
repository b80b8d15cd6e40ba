import {existsSync} from 'node:fs';
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect, test} from 'vitest';
import type {JournalEntry} from '../../../src/apply/journal-file.ts';
import {digestOf} from '../../../src/model/digest.ts';
import type {Tag} from '../../../src/model/reference.ts';
import {TransferRig} from './rig.ts';

// A journal is a memory, and everybody who can write to its directory can write it. Whatever it says, a run does what
// the plan and its flags permit, after it has looked for itself.

const OLD = 'org/build/app';
const NEW = 'new_org/build/renamed';
const PLAN = digestOf('some plan');

/** What a journal says of a run that did all of it. */
function allDone(rig: TransferRig): readonly JournalEntry[] {
  const {project, steps} = rig.move;
  return [
    {type: 'run', plan: PLAN, at: '2026-01-01T00:00:00Z'},
    ...steps.map(({id}): JournalEntry => ({type: 'step', id, outcome: 'done'})),
    {type: 'project-end', project: project.id, result: 'done'},
    {type: 'end', result: 'done', at: '2026-01-01T00:00:01Z'},
  ];
}

/** Entries that the planned tags are deleted. */
function deletions(rig: TransferRig): readonly JournalEntry[] {
  return rig.move.repositories.flatMap(({from, tags}) =>
    tags.map(
      ({name: tag, digest}): JournalEntry => ({
        type: 'delete',
        project: rig.move.project.id,
        repository: from,
        tag,
        digest,
      }),
    ),
  );
}

describe.each(['directory', 'project'] as const)('with a %s as the donor, a journal', (donor) => {
  test('that says that all is done has nothing left out', async () => {
    await using rig = await TransferRig.start({donor});
    const before = await rig.tagsBelow(OLD);
    rig.journal.push(...allDone(rig));
    const run = await rig.apply();
    expect(run.result).toBe('done');
    expect(await rig.tagsBelow(NEW)).toEqual(before);
    expect((await rig.compare('target')).differences).toEqual([]);
  });

  test('that says that the tags are deleted has none deleted unproved, nor left behind', async () => {
    await using rig = await TransferRig.start({donor});
    const before = await rig.tagsBelow(OLD);
    rig.journal.push(...deletions(rig));
    expect((await rig.apply({consent: 'refused'})).result).toBe('interrupted');
    expect(await rig.tagsBelow(OLD)).toEqual(before);
    expect((await rig.apply()).result).toBe('done');
    expect(await rig.tagsBelow(NEW)).toEqual(before);
  });

  test('with deletions of unplanned tags changes nothing', async () => {
    await using rig = await TransferRig.start({donor});
    const before = await rig.tagsBelow(OLD);
    const [first] = deletions(rig);
    rig.journal.push({...first, tag: 'forged', digest: digestOf('x')} as JournalEntry);
    expect((await rig.apply()).result).toBe('done');
    expect(await rig.tagsBelow(NEW)).toEqual(before);
  });

  test('that says that tags are kept or that the project is taken back changes nothing', async () => {
    await using rig = await TransferRig.start({donor});
    const before = await rig.tagsBelow(OLD);
    const {project, repositories} = rig.move;
    for (const {from: repository, tags} of repositories)
      for (const {name: tag} of tags)
        rig.journal.push({type: 'kept', project: project.id, repository, tag});
    rig.journal.push({type: 'rollback', project: project.id});
    expect((await rig.apply()).result).toBe('done');
    expect(await rig.tagsBelow(NEW)).toEqual(before);
    expect(await rig.tagsBelow(OLD)).toEqual({});
  });

  test('has no tag taken along, at the old path or in another repository', async () => {
    await using rig = await TransferRig.start({donor});
    await rig.retag(`${OLD}/tools:1.0`, `${OLD}:forged`);
    const before = await rig.tagsBelow(OLD);
    const {project, repositories} = rig.move;
    const repository = repositories[0]?.from ?? '';
    const host = repository.split('/')[0] ?? '';
    for (const at of [repository, `${host}/donors/secret`, 'elsewhere.test/x'])
      rig.journal.push({type: 'adopt', project: project.id, repository: at, tag: 'forged' as Tag});
    expect((await rig.apply()).result).toBe('drift');
    expect(await rig.tagsBelow(OLD)).toEqual(before);
    expect(await rig.tagsBelow(NEW)).toEqual({});
  });

  test('has nothing put back in a repository that the plan does not name', async () => {
    await using rig = await TransferRig.start({donor});
    await rig.retag(`${OLD}/tools:1.0`, `donors/secret:prod`);
    const before = [await rig.tagsBelow(OLD), await rig.tagsBelow('donors/secret')];
    const [first] = deletions(rig);
    if (first?.type !== 'delete') throw new Error('the plan has no tags');
    const repository = `${first.repository.split('/')[0]}/donors/secret`;
    const digest = Object.values(before[1] ?? {})[0] ?? '';
    const forged = {...first, repository, digest, tag: 'forged'} as JournalEntry;
    rig.journal.push(...deletions(rig), forged);
    await rig.rollback();
    expect([await rig.tagsBelow(OLD), await rig.tagsBelow('donors/secret')]).toEqual(before);
  });
});

test('a journal has no directory removed that this plan did not make', async () => {
  await using rig = await TransferRig.start({donor: 'directory'});
  const {donor} = rig.move;
  const outside = `${donor.path}-mine`;
  await mkdir(outside, {recursive: true});
  await writeFile(join(outside, 'file'), 'mine');
  await mkdir(donor.path, {recursive: true});
  for (const place of [outside, `oci:${outside}`, join(donor.path, '..')])
    rig.journal.push({type: 'made', what: 'directory', place});
  expect((await rig.apply({removesDonor: true})).result).toBe('done');
  expect([existsSync(join(outside, 'file')), existsSync(donor.path)]).toEqual([true, true]);
});

test('a journal cannot redirect the images to another user’s project', async () => {
  await using rig = await TransferRig.start({donor: 'project'});
  const {donor, project} = rig.move;
  const namespace = (await rig.api('GET', 'groups/donors')).json as {id: number};
  const body = {path: donor.path.split('/').at(-1), namespace_id: namespace.id};
  const {json} = await rig.api('POST', 'projects', {body});
  const {id} = json as {id: number};
  const [first] = deletions(rig);
  rig.journal.push(
    {type: 'made', what: 'project', place: donor.path, id},
    {type: 'made', what: 'project', place: donor.path, id, mark: 'forged'},
    {...first, tag: 'forged'} as JournalEntry,
    ...deletions(rig),
  );
  await expect(rig.apply()).rejects.toMatchObject({code: 'DRIFT'});
  expect(await rig.tagsBelow(donor.path)).toEqual({});
  expect((await rig.api('GET', `projects/${project.id}`)).status).toBe(200);
});

test('a journal has no policy changed of a project that the plan does not name', async () => {
  await using rig = await TransferRig.start({donor: 'project', others: {'org/build/other': []}});
  const {project} = rig.move;
  const other = (await rig.api('GET', 'projects/org%2Fbuild%2Fother')).json as {id: number};
  const policyOf = async (id: number) =>
    ((await rig.api('GET', `projects/${id}`)).json as {container_expiration_policy?: object})
      .container_expiration_policy;
  const [own, theirs] = [await policyOf(project.id), await policyOf(other.id)];
  const policy = {enabled: true, keep_n: 1, name_regex: '.*'};
  rig.journal.push(
    {type: 'pause', project: other.id, policy},
    {type: 'pause', project: project.id, policy},
    {type: 'resume', project: project.id},
  );
  expect((await rig.apply()).result).toBe('done');
  expect(await policyOf(project.id)).toEqual({...own, next_run_at: expect.anything()});
  expect(await policyOf(other.id)).toEqual(theirs);
});
