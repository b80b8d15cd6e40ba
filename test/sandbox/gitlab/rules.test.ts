import {describe, expect, test} from 'vitest';
import {layoutDirectory} from '../../support/fixtures.ts';
import {codes, json, send, sha256} from '../client.ts';
import {type Rig, SEED, startRig} from './rig.ts';

const CR = 'org/build/app/cr';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

async function withToken(rig: Rig, method: string, path: string, body = '') {
  const {token} = await rig.registryToken('x:ada-api', `repository:${CR}:pull,push,delete`);
  const headers = {
    authorization: `Bearer ${token}`,
    accept: `${INDEX}, ${MANIFEST}`,
    ...(body === '' ? {} : {'content-type': MANIFEST}),
  };
  return send(method, `${rig.url}/v2/${CR}/${path}`, {headers, ...(body === '' ? {} : {body})});
}

function seedOf(project: object) {
  const [app, ...others] = SEED.projects ?? [];
  return {...SEED, projects: [{...app, path: 'org/build/app', ...project}, ...others]};
}

describe('with its database, the registry keeps references valid', () => {
  test('a manifest that an index lists cannot be deleted', async () => {
    const images = [{name: 'cr', layout: layoutDirectory('attested'), ref: '1.0', tag: 'v2.9.1'}];
    await using rig = await startRig({seed: seedOf({images})});
    const read = await withToken(rig, 'GET', 'manifests/v2.9.1');
    const index = json(read) as {manifests: {digest: string}[]};
    const child = `manifests/${index.manifests[0]?.digest}`;
    const refused = await withToken(rig, 'DELETE', child);
    expect([refused.status, codes(refused)]).toEqual([409, ['MANIFEST_REFERENCED']]);
    // Without a tag, the index is still there.
    await withToken(rig, 'DELETE', 'manifests/v2.9.1');
    expect((await withToken(rig, 'DELETE', child)).status).toBe(409);
    await withToken(rig, 'DELETE', `manifests/${sha256(read.body)}`);
    expect((await withToken(rig, 'DELETE', child)).status).toBe(202);
  });

  test('a manifest can be pushed only after its subject', async () => {
    await using rig = await startRig();
    const read = await withToken(rig, 'GET', 'manifests/v2.9.1');
    const image = JSON.parse(read.body.toString()) as object;
    const push = (digest: string) => {
      const subject = {mediaType: MANIFEST, digest, size: read.body.byteLength};
      return withToken(rig, 'PUT', 'manifests/r', JSON.stringify({...image, subject}));
    };
    const refused = await push(sha256('nothing'));
    expect([refused.status, codes(refused)]).toEqual([400, ['MANIFEST_BLOB_UNKNOWN']]);
    expect((await push(sha256(read.body))).status).toBe(201);
  });
});

test('a project is not renamed to a path that has images', async () => {
  await using rig = await startRig();
  const image = (path: string) => `docker://${rig.host}/org/build/${path}`;
  await rig.skopeo(['copy', '--all', image('app/cr:v2.9.1'), image('empty/cr:v2.9.1')]);
  // The images stay at their path, where no project shows them.
  await rig.api('PUT', 'projects/org%2Fbuild%2Fempty', {
    body: {container_registry_access_level: 'disabled'},
  });
  rig.sandbox.switches.nativeMove = 'lost';
  const body = {path: 'away'};
  expect((await rig.api('PUT', 'projects/org%2Fbuild%2Fempty', {body})).text).toContain('away');
  rig.sandbox.switches.nativeMove = 'works';
  const renamed = await rig.api('PUT', 'projects/org%2Fbuild%2Fapp', {body: {path: 'empty'}});
  expect([renamed.status, renamed.text]).toEqual([200, 'null']);
  expect(rig.sandbox.events.events.at(-1)).toMatchObject({why: 'Name Taken'});
});

test('a project with images can be deleted only if the registry can rename them', async () => {
  for (const [mode, status, words] of [
    ['legacy', 400, 'Cannot rename project because it contains container registry tags!'],
    ['metadata-db', 202, '202 Accepted'],
  ] as const) {
    await using rig = await startRig({mode});
    const answer = await rig.api('DELETE', 'projects/org%2Fbuild%2Fapp');
    expect([answer.status, answer.json]).toEqual([status, {message: words}]);
  }
});

test('a group does not list the repositories of a disabled registry', async () => {
  await using rig = await startRig({seed: seedOf({registry: 'disabled'})});
  expect((await rig.api('POST', 'groups/org%2Fbuild/transfer', {body: {}})).status).toBe(201);
});

test('an archived project is read-only', async () => {
  await using rig = await startRig({seed: seedOf({archived: true})});
  const asked = await rig.registryToken('x:ada-api', `repository:${CR}:pull,push,delete,*`);
  expect(asked.granted).toEqual([`${CR}:pull`]);
});

test('the action * requires a maintainer', async () => {
  await using rig = await startRig();
  const granted = async (secret: string) =>
    (await rig.registryToken(`x:${secret}`, `repository:${CR}:*`)).granted;
  expect([await granted('ada-api'), await granted('dev-api')]).toEqual([[`${CR}:*`], []]);
});

test('the token of a job requires its user name', async () => {
  await using rig = await startRig();
  expect((await rig.registryToken('ada:app-job', `repository:${CR}:pull`)).status).toBe(401);
  expect((await rig.registryToken('ada:app-deploy', `repository:${CR}:pull`)).status).toBe(401);
});

describe('a container repository is kept by', () => {
  test.each([
    ['a rule for its path', {repositories: [{pattern: `${CR}*`, delete: 'owner'}]}],
    ['a rule for tags, whichever', {tags: [{pattern: 'nothing-*', delete: 'owner'}]}],
  ])('%s', async (_why, rules) => {
    const members = {dev: 'maintainer' as const};
    const images = [{name: 'cr', layout: layoutDirectory('busybox')}];
    await using rig = await startRig({seed: seedOf({rules, members, images})});
    const list = 'projects/org%2Fbuild%2Fapp/registry/repositories';
    const [image] = (await rig.api('GET', list)).json as {id: number}[];
    const path = `${list}/${image?.id}`;
    const message = '403 Forbidden - Deleting protected container repository forbidden.';
    const refused = await rig.api('DELETE', path, {token: 'dev-api'});
    expect(refused).toMatchObject({status: 403, json: {message}});
    expect((await rig.api('DELETE', path)).status).toBe(202);
  });
});
