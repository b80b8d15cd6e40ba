import {expect, test} from 'vitest';
import {gaps} from '../../src/sandbox/gitlab/event-log.ts';
import {type RigOptions, startRig} from '../sandbox/gitlab/rig.ts';
import {CALL, openGitLab} from './client.ts';

async function start(options: RigOptions = {}) {
  const rig = await startRig(options);
  const gitlab = openGitLab(rig.url, 'ada-api');
  return {
    rig,
    gitlab,
    async [Symbol.asyncDispose]() {
      await gitlab[Symbol.asyncDispose]();
      await rig[Symbol.asyncDispose]();
    },
  };
}

test.each(['legacy', 'metadata-db'] as const)(
  'a project moves to another top-level group once its tags are gone: %s',
  async (mode) => {
    await using at = await start({mode});
    const {gitlab} = at;
    const project = await gitlab.projects.get('org/build/app', CALL);
    expect(project).toMatchObject({registryHost: at.rig.host, accessLevel: 50});
    const target = await gitlab.groups.get('new_org/build', CALL);
    const locations = await gitlab.projects.transferLocations(project.id, 'build', CALL);
    expect(locations).toEqual([{id: target.id, fullPath: 'new_org/build'}]);

    const transfer = () => gitlab.projects.transfer(project.id, target.id, CALL);
    await expect(transfer()).rejects.toMatchObject({code: 'TRANSFER_TAGS_PRESENT'});
    const [image, ...others] = await gitlab.repositories.ofProject(project.id, CALL);
    if (!image) throw new Error('there is no image');
    expect([image.path, image.tagsCount, others]).toEqual(['org/build/app/cr', 1, []]);
    expect(await gitlab.repositories.tags(image, CALL)).toEqual(['v2.9.1']);
    expect(await gitlab.repositories.deleteTag(image, 'v2.9.1', CALL)).toBe('deleted');
    expect(await gitlab.repositories.deleteTag(image, 'v2.9.1', CALL)).toBe('absent');
    expect((await transfer()).fullPath).toBe('new_org/build/app');
    expect((await transfer()).fullPath).toBe('new_org/build/app');
    const renamed = await gitlab.projects.changePath(project.id, 'renamed', CALL);
    expect(renamed.fullPath).toBe('new_org/build/renamed');
    expect((await gitlab.projects.get('org/build/app', CALL)).id).toBe(project.id);
    expect(await gitlab.repositories.find(image.id, CALL)).toMatchObject({
      path: 'new_org/build/renamed/cr',
      tagsCount: 0,
    });
    expect(gaps(at.rig.sandbox.events.events)).toHaveLength(1);
  },
);

test('a path change that GitLab ignores is reported', async () => {
  await using at = await start({mode: 'legacy'});
  const {id} = await at.gitlab.projects.get('org/build/app', CALL);
  await expect(at.gitlab.projects.changePath(id, 'other', CALL)).rejects.toMatchObject({
    code: 'PATH_CHANGE_REFUSED',
  });
  await expect(at.gitlab.projects.changePath(id, 'empty', CALL)).rejects.toMatchObject({
    code: 'NAME_TAKEN',
  });
});

test('a registry that refuses to move is distinguished from a taken name', async () => {
  await using at = await start({switches: {nativeMove: 'unsupported'}});
  const {id} = await at.gitlab.projects.get('org/build/app', CALL);
  const org = await at.gitlab.groups.get('org', CALL);
  const transfer = () => at.gitlab.projects.transfer(id, org.id, CALL);
  await expect(transfer()).rejects.toMatchObject({code: 'REGISTRY_RENAME_UNSUPPORTED'});
  at.rig.sandbox.switches.nativeMove = 'works';
  expect(await transfer()).toMatchObject({fullPath: 'org/app'});
});

test('a transfer in the background is waited for', async () => {
  await using at = await start({switches: {transferDelayMs: 20}});
  const {id} = await at.gitlab.projects.get('org/build/empty', CALL);
  const org = await at.gitlab.groups.get('org', CALL);
  expect(await at.gitlab.projects.transfer(id, org.id, CALL)).toMatchObject({
    fullPath: 'org/empty',
  });
});

test('a group moves only to where its owner may put it', async () => {
  await using at = await start();
  const {gitlab} = at;
  const group = await gitlab.groups.get('org/build', CALL);
  const target = await gitlab.groups.findNamespace('new_org', CALL);
  expect(target).toMatchObject({kind: 'group', fullPath: 'new_org'});
  await expect(gitlab.groups.transfer(group.id, target?.id, CALL)).rejects.toMatchObject({
    code: 'TRANSFER_FORBIDDEN',
  });
});

test('a group becomes a top-level group, when it has no container repositories any more', async () => {
  await using at = await start();
  const {gitlab} = at;
  const group = await gitlab.groups.get('org/build', CALL);
  const move = () => gitlab.groups.transfer(group.id, undefined, CALL);
  await expect(move()).rejects.toMatchObject({code: 'TRANSFER_REPOSITORIES_PRESENT'});
  await expect(gitlab.groups.changePath(group.id, 'other', CALL)).rejects.toMatchObject({
    code: 'TRANSFER_REPOSITORIES_PRESENT',
  });
  const projects = await gitlab.groups.projects(group.id, CALL);
  expect(projects.map(({fullPath}) => fullPath)).toEqual(['org/build/app', 'org/build/empty']);
  for (const image of await gitlab.repositories.ofGroup(group.id, CALL)) {
    expect(await gitlab.repositories.delete(image, CALL)).toBe('accepted');
    await gitlab.repositories.untilDeleted(image.id, CALL);
  }
  expect(await move()).toMatchObject({fullPath: 'build'});
  expect(await gitlab.groups.changePath(group.id, 'other', CALL)).toMatchObject({path: 'other'});
});

test('rules, policies and access are read, changed and put back', async () => {
  await using at = await start();
  const {gitlab, rig} = at;
  const {id, cleanupPolicy} = await gitlab.projects.get('org/build/app', CALL);
  await gitlab.projects.setCleanupPolicy(id, {enabled: true, keep_n: 5}, CALL);
  await gitlab.projects.setCleanupPolicy(id, {enabled: false}, CALL);
  await gitlab.projects.setRegistryAccess(id, 'private', CALL);
  expect(await gitlab.projects.get(id, CALL)).toMatchObject({
    cleanupPolicy: {enabled: false, keep_n: 5},
    registryAccess: 'private',
  });
  await gitlab.projects.setCleanupPolicy(id, cleanupPolicy ?? {}, CALL);
  expect((await gitlab.projects.get(id, CALL)).cleanupPolicy).toEqual(cleanupPolicy);

  const rules = `projects/${id}/registry/protection`;
  const push = {minimum_access_level_for_push: 'owner'};
  const path = {repository_path_pattern: 'org/build/app/*', ...push};
  await rig.api('POST', `${rules}/repository/rules`, {body: path});
  await rig.api('POST', `${rules}/tag/rules`, {body: {tag_name_pattern: 'v*'}});
  const [rule] = (await gitlab.protection.ofRepositories(id, CALL)) ?? [];
  expect(rule).toMatchObject({pattern: 'org/build/app/*', push: 50});
  const moved = await gitlab.protection.moveRepositoryRule(id, rule?.id ?? 0, 'org/x/*', CALL);
  expect(moved).toEqual({...rule, pattern: 'org/x/*'});
  expect(await gitlab.protection.ofTags(id, CALL)).toMatchObject([
    {pattern: 'v*', immutable: true},
  ]);
  const [image] = await gitlab.repositories.ofProject(id, CALL);
  const remove = gitlab.repositories.deleteTag(image ?? {id: 0, projectId: id}, 'v2.9.1', CALL);
  await expect(remove).rejects.toMatchObject({code: 'PROTECTED'});
});

test('a donor project is made and deleted', async () => {
  await using at = await start();
  const {gitlab} = at;
  const namespace = await gitlab.groups.findNamespace('new_org/build', CALL);
  const wish = {path: 'donor', namespaceId: namespace?.id ?? 0, visibility: 'private' as const};
  const donor = await gitlab.projects.create(wish, CALL);
  expect(donor).toMatchObject({fullPath: 'new_org/build/donor', visibility: 'private'});
  await expect(gitlab.projects.create(wish, CALL)).rejects.toMatchObject({code: 'NAME_TAKEN'});
  expect(await gitlab.projects.delete(donor.id, CALL)).toBe('accepted');
  expect(await gitlab.projects.delete(donor.id, CALL)).toBe('absent');
});

test('who asks is known, and what the token lacks', async () => {
  await using at = await start();
  const {gitlab, rig} = at;
  expect(await gitlab.account.user(CALL)).toMatchObject({username: 'ada', isAdmin: false});
  expect(await gitlab.account.token(CALL)).toMatchObject({scopes: ['api']});
  expect(await gitlab.account.version(CALL)).toMatch(/^\d+\.\d+/);
  const {id} = await gitlab.projects.get('org/build/app', CALL);
  await using reader = openGitLab(rig.url, 'ada-read');
  await expect(reader.projects.setRegistryAccess(id, 'private', CALL)).rejects.toMatchObject({
    code: 'TOKEN_SCOPE_MISSING',
  });
  await using developer = openGitLab(rig.url, 'dev-api');
  await expect(developer.projects.transfer(id, 1, CALL)).rejects.toMatchObject({
    code: 'TRANSFER_FORBIDDEN',
  });
  await using stranger = openGitLab(rig.url, 'eve-api');
  await expect(stranger.projects.get(id, CALL)).rejects.toMatchObject({code: 'PROJECT_NOT_FOUND'});
  await using old = openGitLab(rig.url, 'ada-old');
  await expect(old.account.user(CALL)).rejects.toMatchObject({code: 'UNAUTHORIZED'});
  await using job = openGitLab(rig.url, {kind: 'job-token', value: 'app-job'});
  expect(await job.repositories.ofProject(id, CALL)).toHaveLength(1);
});
