import {describe, expect, test} from 'vitest';
import {codes, json, send, sha256} from '../client.ts';
import {type Rig, startRig} from './rig.ts';

const CR = 'org/build/app/cr';

/** A request to the registry with a token for all permissions of the credentials. */
async function ask(
  rig: Rig,
  method: string,
  path: string,
  {credentials = 'x:ada-api', body = '', type = ''} = {},
) {
  const repository = /^v2\/(.+?)\/(?:manifests|blobs|tags)\//.exec(path)?.[1] ?? CR;
  const {token} = await rig.registryToken(credentials, `repository:${repository}:pull,push,delete`);
  return send(method, `${rig.url}/${path}`, {
    headers: {
      authorization: `Bearer ${token}`,
      accept: 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json',
      ...(type === '' ? {} : {'content-type': type}),
    },
    ...(body === '' ? {} : {body}),
  });
}

describe('the permissions in a token', () => {
  const all = `repository:${CR}:pull,push,delete`;
  test.each([
    ['x:ada-api', [`${CR}:pull,push,delete`]],
    ['x:ada-registry', [`${CR}:pull,push`]],
    ['x:ada-write', [`${CR}:push`]],
    ['x:ada-read', [`${CR}:pull`]],
    ['ada:ada-password', [`${CR}:pull,push,delete`]],
    ['x:dev-api', [`${CR}:pull,push,delete`]],
    ['x:eve-api', []],
    ['gitlab-ci-token:app-job', [`${CR}:pull,push,delete`]],
    ['gitlab+deploy-token-1:app-deploy', [`${CR}:pull,push`]],
  ])('%s', async (credentials, granted) => {
    await using rig = await startRig();
    expect(await rig.registryToken(credentials, all)).toMatchObject({status: 200, granted});
  });

  test('a job can write only to its own project', async () => {
    await using rig = await startRig();
    const other = 'org/build/empty';
    const asked = rig.registryToken('gitlab-ci-token:app-job', `repository:${other}:pull,push`);
    expect((await asked).granted).toEqual([`${other}:pull`]);
  });

  test('wrong credentials, expired tokens and anonymous clients are refused', async () => {
    await using rig = await startRig();
    expect((await rig.registryToken('ada:wrong', all)).status).toBe(401);
    expect((await rig.registryToken('x:ada-old', all)).status).toBe(401);
    expect((await rig.registryToken(undefined, all)).status).toBe(403);
  });

  test('unknown, too deep and invalid paths are left out of a token for several', async () => {
    await using rig = await startRig();
    const asked = await rig.registryToken(
      'x:ada-api',
      `repository:${CR}:pull repository:org/build/empty/a/b:pull,push`,
      'repository:org/build/empty/a/b/c:pull',
      'repository:org/nothing:pull',
      'repository:ORG/build/App:pull',
      'registry:catalog:*',
    );
    expect(asked.granted).toEqual([
      `${CR}:pull`,
      'org/build/empty/a/b:pull,push',
      'org/build/app:pull',
    ]);
  });
});

describe('authenticated clients can see the kind of registry', () => {
  test.each(['legacy', 'metadata-db'] as const)('%s', async (mode) => {
    await using rig = await startRig({mode});
    const base = await ask(rig, 'GET', 'v2/');
    expect(base.status).toBe(200);
    expect(base.headers.get('gitlab-container-registry-features')).toBe('tag_delete');
    const isDb = mode === 'metadata-db';
    expect(base.headers.get('gitlab-container-registry-database-enabled')).toBe(String(isDb));
    const outside = await send('GET', `${rig.url}/v2/`);
    expect(outside.status).toBe(401);
    expect(outside.headers.get('gitlab-container-registry-database-enabled')).toBeNull();
    expect((await ask(rig, 'GET', 'gitlab/v1/')).status).toBe(isDb ? 200 : 404);
    expect((await send('GET', `${rig.url}/gitlab/v1/`)).status).toBe(401);
    const listed = await ask(rig, 'GET', `gitlab/v1/repositories/${CR}/tags/list/`);
    expect(listed.status).toBe(isDb ? 200 : 404);
  });
});

test('the list of tags with digests has pages, and needs its final slash', async () => {
  await using rig = await startRig();
  const root = json(await ask(rig, 'GET', `v2/${CR}/manifests/v2.9.1`)) as object;
  const copy = `docker://${rig.host}/${CR}`;
  await rig.skopeo(['copy', '--all', `${copy}:v2.9.1`, `${copy}:v3`]);
  const list = `gitlab/v1/repositories/${CR}/tags/list`;
  const page = await ask(rig, 'GET', `${list}/?n=1`);
  expect(page.headers.get('link')).toContain('last=v2.9.1');
  const [tag] = json(page) as {digest: string}[];
  const read = await ask(rig, 'GET', `v2/${CR}/manifests/v2.9.1`);
  expect(tag).toMatchObject({name: 'v2.9.1', digest: sha256(read.body)});
  expect(root).toMatchObject({schemaVersion: 2});
  expect((await ask(rig, 'GET', list)).status).toBe(301);
});

async function addRule(rig: Rig, kind: 'tag' | 'repository', body: object) {
  return rig.api('POST', `projects/org%2Fbuild%2Fapp/registry/protection/${kind}/rules`, {body});
}

describe('protection rules', () => {
  test('refuse changes of a protected tag with 401 and a specific code', async () => {
    await using rig = await startRig();
    const levels = {
      minimum_access_level_for_push: 'maintainer',
      minimum_access_level_for_delete: 'maintainer',
    };
    expect((await addRule(rig, 'tag', {tag_name_pattern: 'v*', ...levels})).status).toBe(201);
    const path = `v2/${CR}/manifests/v2.9.1`;
    const denied = await ask(rig, 'DELETE', path, {credentials: 'x:dev-api'});
    expect([denied.status, codes(denied)]).toEqual([401, ['PROTECTED_TAG']]);
    const repositories = 'projects/org%2Fbuild%2Fapp/registry/repositories';
    const [{id} = {id: 0}] = (await rig.api('GET', repositories)).json as {id: number}[];
    const byApi = await rig.api('DELETE', `${repositories}/${id}/tags/v2.9.1`, {token: 'dev-api'});
    expect(byApi).toMatchObject({
      status: 403,
      json: {message: '403 Forbidden - cannot delete protected tag(s)'},
    });
    expect((await ask(rig, 'DELETE', path)).status).toBe(202);
  });

  test('refuse all changes of an immutable tag', async () => {
    await using rig = await startRig();
    await addRule(rig, 'tag', {tag_name_pattern: 'v2*'});
    const path = `v2/${CR}/manifests/v2.9.1`;
    const denied = await ask(rig, 'DELETE', path);
    expect([denied.status, codes(denied)]).toEqual([401, ['IMMUTABLE_TAG']]);
    const {body, headers} = await ask(rig, 'GET', path);
    const put = {body: body.toString(), type: headers.get('content-type') ?? ''};
    expect((await ask(rig, 'PUT', path, put)).status).toBe(401);
    expect((await ask(rig, 'PUT', `v2/${CR}/manifests/v2.new`, put)).status).toBe(201);
    const byDigest = await ask(rig, 'DELETE', `v2/${CR}/manifests/${sha256(body)}`);
    expect([byDigest.status, codes(byDigest)]).toEqual([401, ['PROTECTED_MANIFEST']]);
  });

  test('refuse a token for push to a protected path', async () => {
    await using rig = await startRig();
    const rule = {repository_path_pattern: `${CR}*`, minimum_access_level_for_push: 'owner'};
    expect((await addRule(rig, 'repository', rule)).status).toBe(201);
    expect(await addRule(rig, 'repository', rule)).toMatchObject({
      status: 422,
      json: {message: {error: ['Repository path pattern has already been taken']}},
    });
    const asked = await rig.registryToken('x:dev-api', `repository:${CR}:push`);
    expect([asked.status, JSON.stringify(asked.errors)]).toEqual([
      403,
      expect.stringContaining('Pushing to protected repository path forbidden'),
    ]);
  });
});

test('with its database, the registry accepts only known media types', async () => {
  for (const [mode, status] of [
    ['metadata-db', 400],
    ['legacy', 201],
  ] as const) {
    await using rig = await startRig({mode});
    const read = await ask(rig, 'GET', `v2/${CR}/manifests/v2.9.1`);
    const type = read.headers.get('content-type') ?? '';
    const index = JSON.parse(read.body.toString()) as object;
    const body = JSON.stringify({...index, artifactType: 'application/vnd.example.unknown'});
    const put = await ask(rig, 'PUT', `v2/${CR}/manifests/x`, {body, type});
    expect([put.status, put.body.toString().includes('unknown media type')]).toEqual([
      status,
      status === 400,
    ]);
  }
});

test('a project has at most five tag rules, and only with the database', async () => {
  await using rig = await startRig();
  const add = (name: string) => addRule(rig, 'tag', {tag_name_pattern: name});
  for (const name of ['a', 'b', 'c', 'd', 'e']) expect((await add(name)).status).toBe(201);
  expect(await add('f')).toMatchObject({
    status: 422,
    json: {message: 'Maximum number of protection rules have been reached.'},
  });
  await using legacy = await startRig({mode: 'legacy'});
  expect(await addRule(legacy, 'tag', {tag_name_pattern: 'a'})).toMatchObject({status: 422});
});

test('a read-only registry refuses every write', async () => {
  await using rig = await startRig();
  rig.sandbox.switches.readOnly = true;
  const answers = await Promise.all([
    ask(rig, 'POST', `v2/${CR}/blobs/uploads/`),
    ask(rig, 'DELETE', `v2/${CR}/manifests/v2.9.1`),
    ask(rig, 'GET', `v2/${CR}/tags/list`),
  ]);
  expect(answers.map(({status}) => status)).toEqual([405, 405, 200]);
});
