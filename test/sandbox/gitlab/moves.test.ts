import {describe, expect, test} from 'vitest';
import {gaps} from '../../../src/sandbox/gitlab/event-log.ts';
import type {RegistryMode} from '../../../src/sandbox/gitlab/instance.ts';
import {tempDirectory} from '../../support/temp.ts';
import {type Rig, type RigOptions, startRig} from './rig.ts';

const PROJECT = 'projects/org%2Fbuild%2Fapp';
const TAGS = 'tags are present in its container registry';

async function listTags(rig: Rig, repository: string) {
  const {token} = await rig.registryToken('x:root-api', `repository:${repository}:pull`);
  const answer = await fetch(`${rig.url}/v2/${repository}/tags/list`, {
    headers: {authorization: `Bearer ${token}`},
  });
  const {tags} = (await answer.json()) as {tags?: readonly string[] | null};
  return tags ?? [];
}

async function repositoryId(rig: Rig): Promise<number> {
  const [found] = (await rig.api('GET', `${PROJECT}/registry/repositories`)).json as {id: number}[];
  return found?.id ?? 0;
}

describe('a transfer to another top-level group is refused in the words of', () => {
  test.each<[RegistryMode, string]>([
    ['legacy', `{:new_namespace=>["Project cannot be transferred, because image ${TAGS}"]}`],
    [
      'metadata-db',
      `{new_namespace: ["Project cannot be transferred to a different top-level namespace, because image ${TAGS}"]}`,
    ],
  ])('%s', async (mode, words) => {
    await using rig = await startRig({mode});
    const refused = await rig.api('PUT', `${PROJECT}/transfer`, {
      body: {namespace: 'new_org/build'},
    });
    expect(refused).toMatchObject({
      status: 400,
      json: {message: `Failed to transfer project ${words}`},
    });
    expect(rig.sandbox.events.events.at(-1)).toMatchObject({kind: 'refused'});
  });
});

test.each(['memory', 'directory'] as const)(
  'with its database the registry moves images in the same top-level group: %s',
  async (kind) => {
    await using temp = await tempDirectory();
    await using rig = await startRig({
      storage: kind === 'memory' ? {kind} : {kind, path: temp.path},
    });
    expect((await rig.api('PUT', `${PROJECT}/transfer`, {body: {namespace: 'org'}})).status).toBe(
      200,
    );
    expect(
      (await rig.api('PUT', 'projects/org%2Fapp', {body: {path: 'moved'}})).json,
    ).toMatchObject({
      path_with_namespace: 'org/moved',
    });
    expect(await listTags(rig, 'org/moved/cr')).toEqual(['v2.9.1']);
    const copy = `docker://${rig.host}/org/moved/cr:v2.9.1`;
    expect(await rig.skopeo(['inspect', '--raw', copy])).toMatchObject({code: 0});
    expect(gaps(rig.sandbox.events.events)).toEqual([]);
  },
);

test('GitLab reports success although the registry did not move the images', async () => {
  await using rig = await startRig({switches: {nativeMove: 'lost'}});
  expect((await rig.api('PUT', PROJECT, {body: {path: 'moved'}})).status).toBe(200);
  expect(await listTags(rig, 'org/build/moved/cr')).toEqual([]);
});

describe('a path that cannot change is answered with 200 and null', () => {
  test.each<[string, RigOptions]>([
    ['without database', {mode: 'legacy'}],
    ['without Redis', {switches: {nativeMove: 'unsupported'}}],
  ])('%s', async (_why, options) => {
    await using rig = await startRig(options);
    const answer = await rig.api('PUT', PROJECT, {body: {path: 'moved'}});
    expect([answer.status, answer.text]).toEqual([200, 'null']);
    expect((await rig.api('GET', PROJECT)).json).toMatchObject({path: 'app'});
  });
});

test.each<[string, object, number, string]>([
  [`${PROJECT}/transfer`, {namespace: 'nowhere'}, 404, '404 Namespace Not Found'],
  [`${PROJECT}/transfer`, {namespace: 'org/build'}, 400, 'Project is already in this namespace.'],
  [PROJECT, {path: '-bad'}, 400, 'can contain only letters'],
  [PROJECT, {path: 'empty'}, 400, 'has already been taken'],
])('PUT %s %j is answered with %i', async (path, body, status, words) => {
  await using rig = await startRig();
  const answer = await rig.api('PUT', path, {body});
  expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(words)]);
});

test.each([
  ['dev-api', 403],
  ['eve-api', 404],
  ['ada-registry', 403],
  ['ada-old', 401],
  ['', 401],
])('a transfer with the token "%s" is answered with %i', async (token, status) => {
  await using rig = await startRig();
  const body = {namespace: 'org'};
  expect((await rig.api('PUT', `${PROJECT}/transfer`, {token, body})).status).toBe(status);
});

test('a transfer is refused if the path is taken, for npm packages, and for an archived project', async () => {
  const seed = {
    users: [{name: 'ada'}],
    groups: [
      {path: 'a', members: {ada: 'owner' as const}},
      {path: 'b', members: {ada: 'owner' as const}},
    ],
    projects: [
      {path: 'a/app'},
      {path: 'b/app'},
      {path: 'a/npm', npm: true},
      {path: 'a/old', archived: true},
    ],
    tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
  };
  await using rig = await startRig({seed});
  const transfer = (name: string) =>
    rig.api('PUT', `projects/a%2F${name}/transfer`, {body: {namespace: 'b'}});
  expect((await transfer('app')).text).toContain('Project with same name or path');
  expect((await transfer('npm')).text).toContain('NPM packages scoped');
  expect((await transfer('old')).status).toBe(403);
});

test('a record without tags blocks a group, but not a project', async () => {
  await using rig = await startRig();
  const body = {group_id: undefined};
  const asked = await rig.registryToken('x:ada-api', 'repository:org/build/empty/x:push');
  expect(asked.granted).toEqual(['org/build/empty/x:push']);
  const [repository] = (await rig.api('GET', `${PROJECT}/registry/repositories`)).json as {
    id: number;
  }[];
  await rig.api('DELETE', `${PROJECT}/registry/repositories/${repository?.id}`);
  await rig.sandbox.settled();

  const refused = await rig.api('POST', 'groups/org%2Fbuild/transfer', {body});
  expect([refused.status, refused.text]).toEqual([
    400,
    expect.stringContaining('contain Docker images in their Container Registry'),
  ]);
  const project = 'projects/org%2Fbuild%2Fempty';
  expect(
    (await rig.api('PUT', `${project}/transfer`, {body: {namespace: 'new_org/build'}})).status,
  ).toBe(200);
  expect((await rig.api('POST', 'groups/org%2Fbuild/transfer', {body})).status).toBe(201);
  expect((await rig.api('GET', 'projects/org%2Fbuild%2Fapp')).status).toBe(301);
});

test.each([
  ['org/build', 'org', 'Group is already associated to the parent group.'],
  ['org', undefined, 'Group is already a root group.'],
  ['org', 'org/build', 'Cannot transfer group to one of its subgroup.'],
  ['org', 'other', "You don't have enough permissions."],
  [
    'org/build',
    'new_org',
    'The parent group already has a subgroup or a project with the same path.',
  ],
])('the group %s cannot be transferred to %s', async (path, parent, why) => {
  const members = {ada: 'owner' as const};
  const paths = ['org', 'org/build', 'new_org', 'new_org/build'];
  const seed = {
    users: [{name: 'ada'}, {name: 'eve'}],
    groups: [
      ...paths.map((one) => ({path: one, members})),
      {path: 'other', visibility: 'public' as const, members: {eve: 'owner' as const}},
    ],
    tokens: [{value: 'ada-api', user: 'ada', scopes: ['api']}],
  };
  await using rig = await startRig({seed});
  const id = async (group: string) =>
    ((await rig.api('GET', `groups/${encodeURIComponent(group)}`)).json as {id: number}).id;
  const body = parent === undefined ? {} : {group_id: await id(parent)};
  const refused = await rig.api('POST', `groups/${await id(path)}/transfer`, {body});
  expect([refused.status, refused.json]).toEqual([400, {message: `Transfer failed: ${why}`}]);
});

test('the log shows when no tag referred to an image', async () => {
  await using rig = await startRig();
  const image = `docker://${rig.host}/org/build/app/cr`;
  await rig.skopeo(['copy', '--all', `${image}:v2.9.1`, `${image}:kept`]);
  const tags = `${PROJECT}/registry/repositories/${await repositoryId(rig)}/tags`;
  expect((await rig.api('DELETE', `${tags}/v2.9.1`)).status).toBe(200);
  expect(gaps(rig.sandbox.events.events)).toEqual([]);
  expect((await rig.api('DELETE', `${tags}/kept`)).status).toBe(200);
  const from = rig.sandbox.events.events.length;
  expect(gaps(rig.sandbox.events.events)).toMatchObject([{from, to: undefined}]);
});

test('a new tag ends the gap of an image', () => {
  const event = {seq: 0, at: 0, by: 'x', repository: 'a/b', digest: 'sha256:1'};
  const log = [
    {...event, kind: 'manifest-pushed' as const, tag: 'v1', seq: 1},
    {...event, kind: 'tag-deleted' as const, tag: 'v1', seq: 2},
    {...event, kind: 'manifest-pushed' as const, tag: 'v1', repository: 'c/d', seq: 3},
    {
      ...event,
      kind: 'manifest-pushed' as const,
      tag: 'v1',
      repository: 'c/d',
      digest: 'sha256:2',
      seq: 4,
    },
    {...event, kind: 'repository-moved' as const, from: 'c/d', to: 'e/f', seq: 5},
    {...event, kind: 'manifest-deleted' as const, repository: 'e/f', digest: 'sha256:2', seq: 6},
  ];
  expect(gaps(log)).toEqual([
    {digest: 'sha256:1', from: 2, to: 3},
    {digest: 'sha256:1', from: 4, to: undefined},
    {digest: 'sha256:2', from: 6, to: undefined},
  ]);
});
