import {readFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import {describe, expect, test} from 'vitest';
import {parse} from 'yaml';
import {startGitLabSandbox} from '../../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed, readSeed} from '../../../src/sandbox/gitlab/seed.ts';
import {layoutDirectory} from '../../support/fixtures.ts';
import {type Rig, SEED, startRig} from './rig.ts';

const IMAGES = 'projects/org%2Fbuild%2Fapp/registry/repositories';

async function firstImage(rig: Rig): Promise<string> {
  const [found] = (await rig.api('GET', IMAGES)).json as {id: number}[];
  return `${IMAGES}/${found?.id}`;
}

describe('with many tags', () => {
  const seed = {
    ...SEED,
    projects: [
      {
        path: 'org/build/app',
        images: ['latest', ...Array.from({length: 24}, (_, index) => `t${index + 10}`)].map(
          (tag) => ({
            layout: layoutDirectory('busybox'),
            tag,
          }),
        ),
      },
    ],
    tokens: SEED.tokens?.filter(({project}) => project !== 'org/build/empty') ?? [],
  };

  test('lists have pages, by number and by keyset', async () => {
    await using rig = await startRig({seed});
    const tags = `${await firstImage(rig)}/tags`;
    const second = await rig.api('GET', `${tags}?page=2`);
    expect(second.json).toHaveLength(5);
    expect(second.headers.get('x-total')).toBe('25');
    expect(second.headers.get('link')).not.toContain('rel="next"');
    const keyset = await rig.api('GET', `${tags}?pagination=keyset&per_page=24`);
    expect(keyset.json).toHaveLength(24);
    expect(keyset.headers.get('link')).toMatch(/last=t32>; rel="next"$/);
    expect(keyset.headers.get('x-total')).toBeNull();
    const page = await rig
      .client()
      .ContainerRegistry.allTags('org/build/app', Number(tags.split('/').at(-2)));
    expect(page).toHaveLength(25);
  });

  test('a bulk deletion keeps latest and matching tags, and runs once an hour', async () => {
    let now = Date.parse('2026-01-01');
    await using rig = await startRig({seed, clock: () => now});
    const tags = `${await firstImage(rig)}/tags`;
    expect((await rig.api('DELETE', tags)).json).toEqual({error: 'name_regex_delete is missing'});
    const sweep = () =>
      rig.api('DELETE', `${tags}?name_regex_delete=.*&name_regex_keep=t1.&keep_n=1`);
    expect((await sweep()).status).toBe(202);
    await rig.sandbox.settled();
    expect((await rig.api('GET', `${tags}?per_page=100`)).json).toHaveLength(12);
    expect((await sweep()).text).toContain('at most once an hour');
    now += 3_600_001;
    expect((await sweep()).status).toBe(202);
  });
});

test('a cleanup policy deletes old tags, except the newest and matching ones', async () => {
  let now = Date.parse('2026-01-01');
  await using rig = await startRig({clock: () => now});
  const image = await firstImage(rig);
  const copy = (tag: string) => {
    now += 60_000;
    const path = `docker://${rig.host}/org/build/app/cr`;
    return rig.skopeo(['copy', '--all', `${path}:v2.9.1`, `${path}:${tag}`]);
  };
  for (const tag of ['a', 'latest', 'b', 'keep-me']) expect((await copy(tag)).code).toBe(0);
  const policy = {enabled: true, keep_n: 1, older_than: '14d', name_regex_keep: 'keep-.*'};
  const body = {container_expiration_policy_attributes: policy};
  const project = await rig.api('PUT', 'projects/org%2Fbuild%2Fapp', {body});
  expect(project.text).toContain('"next_run_at":"2026-01-02');
  const tags = async () =>
    ((await rig.api('GET', `${image}/tags`)).json as {name: string}[]).map(({name}) => name);
  await rig.sandbox.runCleanup();
  expect(await tags()).toHaveLength(5);
  now += 15 * 24 * 3_600_000;
  await rig.sandbox.runCleanup();
  expect(await tags()).toEqual(['b', 'keep-me', 'latest']);
});

test('keyset pages need the database', async () => {
  await using rig = await startRig({mode: 'legacy'});
  const tags = `${await firstImage(rig)}/tags`;
  expect((await rig.api('GET', `${tags}?pagination=keyset`)).status).toBe(405);
  expect((await rig.api('GET', tags)).json).toHaveLength(1);
});

test('a deletion runs in the background, and can fail', async () => {
  await using rig = await startRig({
    switches: {deletionDelayMs: 20, undeletable: new Set(['org/build/app/cr'])},
  });
  const image = await firstImage(rig);
  const id = image.split('/').at(-1);
  expect((await rig.api('DELETE', image)).status).toBe(202);
  const status = async () => (await rig.api('GET', `registry/repositories/${id}`)).json;
  expect(await status()).toMatchObject({status: expect.stringMatching('delete_') as string});
  await rig.sandbox.settled();
  expect(await status()).toMatchObject({status: 'delete_failed'});
  rig.sandbox.switches.undeletable.clear();
  await rig.api('DELETE', image);
  await rig.sandbox.settled();
  expect((await rig.api('GET', `registry/repositories/${id}`)).status).toBe(404);
});

test('without the database, the time of a tag is that of its image, which an index does not have', async () => {
  const images = ['1.35', '1.35-amd64'].map((ref) => ({
    name: 'cr',
    layout: layoutDirectory('busybox'),
    ref,
  }));
  const [app, ...others] = SEED.projects ?? [];
  const projects = [{...app, path: 'org/build/app', images}, ...others];
  await using rig = await startRig({mode: 'legacy', seed: {...SEED, projects}});
  const tags = `${await firstImage(rig)}/tags`;
  expect((await rig.api('GET', `${tags}/1.35-amd64`)).json).toMatchObject({
    created_at: '2023-11-14T22:13:20.000Z',
  });
  expect((await rig.api('GET', `${tags}/1.35`)).status).toBe(404);
});

test('the details of a tag contain the digests of manifest and config', async () => {
  await using rig = await startRig({clock: () => 0});
  const tag = await rig.api('GET', `${await firstImage(rig)}/tags/v2.9.1`);
  expect(tag.json).toMatchObject({
    name: 'v2.9.1',
    location: `${rig.host}/org/build/app/cr:v2.9.1`,
    digest: expect.stringMatching(/^sha256:/) as string,
    created_at: '1970-01-01T00:00:00.000Z',
  });
});

test('requests above the limit are refused with 429', async () => {
  await using rig = await startRig({rateLimit: {requests: 2}, clock: () => 30_000});
  const answers = [];
  for (let count = 0; count < 3; count++) answers.push(await rig.api('GET', 'version'));
  const [first, , last] = answers;
  expect(first?.headers.get('ratelimit-remaining')).toBe('1');
  expect([last?.status, last?.text, last?.headers.get('retry-after')]).toEqual([
    429,
    'Retry later\n',
    '30',
  ]);
});

test('an access token reports its scopes, that of a job does not', async () => {
  await using rig = await startRig();
  const self = await rig.api('GET', 'personal_access_tokens/self', {token: 'ada-registry'});
  expect(self.json).toMatchObject({scopes: ['read_registry', 'write_registry']});
  const asJob = {token: '', headers: {'job-token': 'app-job'}};
  expect((await rig.api('GET', 'personal_access_tokens/self', asJob)).status).toBe(401);
  expect((await rig.api('GET', IMAGES, asJob)).json).toHaveLength(1);
  expect((await rig.api('GET', IMAGES.replace('app', 'empty'), asJob)).status).toBe(404);
  expect((await rig.api('PUT', 'projects/org%2Fbuild%2Fapp', asJob)).status).toBe(401);
  const scoped = await rig.api('PUT', 'projects/org%2Fbuild%2Fapp', {token: 'ada-read', body: {}});
  expect(scoped).toMatchObject({status: 403, json: {error: 'insufficient_scope'}});
});

test('settings are stored, and a disabled registry gives no access', async () => {
  await using rig = await startRig();
  const body = {
    container_expiration_policy_attributes: {enabled: true, keep_n: 5},
    container_registry_access_level: 'disabled',
  };
  const put = await rig.api('PUT', 'projects/org%2Fbuild%2Fapp', {body});
  expect(put.json).toMatchObject({
    container_expiration_policy: {enabled: true, keep_n: 5, cadence: '1d'},
    container_registry_access_level: 'disabled',
  });
  expect((await rig.api('GET', IMAGES)).status).toBe(403);
  const scope = 'repository:org/build/app/cr:pull';
  expect((await rig.registryToken('x:ada-api', scope)).granted).toEqual([]);
});

test('transfer locations are groups of which the caller is a maintainer', async () => {
  await using rig = await startRig();
  const found = await rig.api('GET', 'projects/org%2Fbuild%2Fapp/transfer_locations?search=build');
  expect(found.json).toMatchObject([{full_path: 'new_org/build'}]);
  const namespace = await rig.api('GET', 'namespaces/ada');
  expect(namespace.json).toMatchObject({kind: 'user', full_path: 'ada'});
  const projects = await rig.api('GET', 'groups/org/projects?include_subgroups=true');
  const searched = await rig.api('GET', 'groups/org%2Fbuild/projects?search=emp');
  expect(searched.json).toMatchObject([{path: 'empty'}]);
  expect(projects.json).toHaveLength(2);
  expect((await rig.api('GET', 'groups/org/projects')).json).toEqual([]);
  expect((await rig.api('GET', 'groups/org/registry/repositories')).json).toHaveLength(1);
});

test('running pipelines are listed', async () => {
  const [app, ...others] = SEED.projects ?? [];
  const projects = [{...app, path: 'org/build/app', pipelines: 2}, ...others];
  await using rig = await startRig({seed: {...SEED, projects}});
  const pipelines = 'projects/org%2Fbuild%2Fapp/pipelines';
  expect((await rig.api('GET', `${pipelines}?status=running`)).json).toHaveLength(2);
  expect((await rig.api('GET', `${pipelines}?status=failed`)).json).toEqual([]);
});

test('the seed in plans/ contains the project of GitLab’s example', async () => {
  const file = fileURLToPath(new URL('../../../plans/sandbox.yaml', import.meta.url));
  await using sandbox = await startGitLabSandbox({seed: await readSeed(file)});
  const answer = await fetch(
    `${sandbox.url}/api/v4/projects/org%2Fbuild%2Fsample_project/registry/repositories?tags=true`,
    {headers: {'private-token': 'sandbox-owner'}},
  );
  expect(await answer.json()).toMatchObject([
    {name: 'cr', tags: [{path: 'org/build/sample_project/cr:v2.9.1'}]},
  ]);
});

test('the error for an invalid seed contains the field', async () => {
  const file = fileURLToPath(new URL('../../../plans/sandbox.yaml', import.meta.url));
  const seed = parse(await readFile(file, 'utf8')) as object;
  expect(() => parseSeed({...seed, groups: [{path: 'x', members: {ada: 'king'}}]})).toThrow(
    'groups.0.members.ada',
  );
  const unknown = parseSeed({...seed, groups: [{path: 'x', members: {nobody: 'owner'}}]});
  await expect(startGitLabSandbox({seed: unknown})).rejects.toThrow('unknown user, "nobody"');
});
