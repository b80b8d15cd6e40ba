import {appendFile, readFile, writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {RunResult} from '../../src/model/outcome.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import type {Digest} from '../../src/model/digest.ts';
import {startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {type PushedImage, pushImage, pushIndex} from '../support/push-image.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let sandbox: Sandbox;
let docker: DockerRegistry;
let temp: TempDirectory;
let count = 0;
let repository: string;

beforeAll(async () => {
  sandbox = cleanup.use(await startSandbox());
  docker = cleanup.use(await startDockerRegistry());
  temp = cleanup.use(await tempDirectory());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  repository = `test/r${++count}`;
});

const fileName = () => temp.join(`${count}.plan.json`);
const undoName = () => temp.join(`${count}.undo.ndjson`);

async function plan(host: string, ...rules: readonly string[]): Promise<void> {
  const args = ['plan', 'delete', `${host}/${repository}`, '--out', fileName(), ...rules];
  expect((await transship(args)).code).toBe(0);
}
const apply = (...flags: readonly string[]) => transship(['apply', fileName(), '--yes', ...flags]);
const rollback = async (...flags: readonly string[]) => {
  const run = await transship(['rollback', fileName(), '--format', 'json', ...flags]);
  const {result, steps} =
    run.stdout === '' ? {result: '', steps: []} : (JSON.parse(run.stdout) as RunResult);
  return {
    code: run.code,
    stderr: run.stderr,
    result,
    outcomes: steps.map(({outcome}) => outcome),
    errors: steps.flatMap(({error}) => error?.code ?? []),
  };
};

const ACCEPT =
  'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json';

/** The digests of all tags. */
async function tagsOf(url: string): Promise<Readonly<Record<string, string>>> {
  const answer = await fetch(`${url}/v2/${repository}/tags/list`);
  const {tags} = (await answer.json()) as {tags: string[] | null};
  const found: Record<string, string> = {};
  for (const tag of (tags ?? []).toSorted()) {
    const head = await fetch(`${url}/v2/${repository}/manifests/${tag}`, {
      method: 'HEAD',
      headers: {accept: ACCEPT},
    });
    found[tag] = head.headers.get('docker-content-digest') ?? '';
  }
  return found;
}

/** Two images, an index of them, another tag of it, a signature and a referrer without a tag. */
async function fill(url: string): Promise<readonly PushedImage[]> {
  const amd = await pushImage(url, repository, 'dev-amd', {layers: [Buffer.from('amd')]});
  const arm = await pushImage(url, repository, 'dev-arm', {layers: [Buffer.from('arm')]});
  const index = await pushIndex(url, repository, 'dev', [amd, arm]);
  await pushIndex(url, repository, 'dev-again', [amd, arm]);
  await pushImage(url, repository, `${index.replace(':', '-')}.sig`, {
    layers: [Buffer.from('signature')],
  });
  return [amd, arm];
}

describe('rollback of deletions', () => {
  test.each([
    ['the sandbox', () => sandbox],
    ['a registry that deletes by digest only', () => docker],
  ])('puts every tag back, with its digest, at %s', async (_, registry) => {
    const {url, host} = registry();
    await fill(url);
    await pushImage(url, repository, 'v1', {layers: [Buffer.from('stays')]});
    const before = await tagsOf(url);
    await plan(host, '--tag', 'dev*');
    const applied = await apply();
    expect(applied.stdout).toContain(`transship rollback ${fileName()}`);
    expect(Object.keys(await tagsOf(url))).toEqual(['v1']);
    expect(await rollback()).toMatchObject({code: 0, result: 'done', errors: []});
    expect(await tagsOf(url)).toEqual(before);
    // Done twice, the second changes nothing; and the plan can be applied again.
    expect((await rollback()).outcomes).toEqual(Array(5).fill('present'));
    expect((await apply()).code).toBe(0);
    expect(Object.keys(await tagsOf(url))).toEqual(['v1']);
  });

  test('does not change a tag that was pushed since then', async () => {
    const {url, host} = sandbox;
    await pushImage(url, repository, 'a', {layers: [Buffer.from('a')]});
    const b = await pushImage(url, repository, 'b', {layers: [Buffer.from('b')]});
    await plan(host, '--tag', '*');
    await apply();
    const fresh = await pushImage(url, repository, 'a', {layers: [Buffer.from('new')]});
    const run = await transship(['rollback', fileName()]);
    expect(run.code).toBe(4);
    expect(run.stdout).toContain('1 tag pushed since then and not changed; 1 tag restored');
    expect(await tagsOf(url)).toEqual({a: fresh.digest, b: b.digest});
  });

  test('says what the registry no longer has', async () => {
    const {url, host, storage} = sandbox;
    const layers = [Buffer.from(`collected ${repository}`)];
    const image = await pushImage(url, repository, 'a', {layers});
    await plan(host, '--tag', '*');
    await apply();
    await storage.blobs.unlink(repository as RepositoryPath, image.layers[0]?.digest as Digest);
    expect(await rollback()).toMatchObject({code: 1, errors: ['ROLLBACK_TOO_LATE']});
    expect(await tagsOf(url)).toEqual({});
  });

  test('takes only what this plan deleted, from a file with a half-written line', async () => {
    const {url, host} = sandbox;
    const a = await pushImage(url, repository, 'a', {layers: [Buffer.from('a')]});
    await pushImage(url, repository, 'b', {layers: [Buffer.from('b')]});
    await plan(host, '--tag', 'b');
    await apply();
    await appendFile(undoName(), '{"type":"manifest","digest":"sha256:12');
    await plan(host, '--tag', 'a');
    await apply();
    expect(await rollback()).toMatchObject({code: 0, outcomes: ['done']});
    expect(await tagsOf(url)).toEqual({a: a.digest});
  });

  test('wants the file, and believes no bytes in it', async () => {
    const {url, host} = sandbox;
    await pushImage(url, repository, 'a', {layers: [Buffer.from('a')]});
    await plan(host, '--tag', '*');
    await apply('--no-undo');
    expect((await rollback()).stderr).toContain('"code":"FILE_UNREADABLE"');
    await pushImage(url, repository, 'a', {layers: [Buffer.from('a')]});
    const kept = temp.join(`${count}.kept`);
    await apply('--undo', kept);
    const lines = (await readFile(kept, 'utf8')).trim().split('\n');
    const other = Buffer.from('{"schemaVersion":2,"layers":[]}').toString('base64');
    await writeFile(
      kept,
      lines.map((line) => `${line.replace(/"bytes":"[^"]*"/, `"bytes":"${other}"`)}\n`).join(''),
    );
    expect(await rollback('--undo', kept)).toMatchObject({errors: ['FILE_INVALID']});
    await writeFile(kept, 'something else\n');
    expect((await rollback('--undo', kept)).stderr).toContain('is not an undo file');
  });

  test('takes back what a run deleted that was ended in the middle of any deletion', async () => {
    const places = [...Array(6).keys()].flatMap((deletion) => [
      [deletion, 'before'] as const,
      [deletion, 'after'] as const,
    ]);
    for (const [at, reached] of places) {
      const end = new AbortController();
      let deletions = 0;
      await using own = await startSandbox({
        intercept: async ({method}, next) => {
          // The plan and the run ask whether tags can be deleted at all.
          const isIt = method === 'DELETE' && deletions++ === at + 1;
          if (isIt && reached === 'before') end.abort();
          try {
            return await next();
          } finally {
            if (isIt) end.abort();
          }
        },
      });
      await fill(own.url);
      const before = await tagsOf(own.url);
      await plan(own.host, '--tag', 'dev*');
      const run = await transship(['apply', fileName(), '--yes'], {aborted: end.signal});
      expect(run.code).toBe(130);
      expect(await rollback()).toMatchObject({code: 0, errors: []});
      expect(await tagsOf(own.url)).toEqual(before);
    }
  });

  test('is for plans that delete', async () => {
    const {url, host} = sandbox;
    await pushImage(url, repository, 'a');
    const places = [`${host}/${repository}`, `${host}/${repository}/copy`];
    await transship(['plan', 'copy', ...places, '--out', fileName()]);
    const run = await rollback();
    expect([run.code, run.stderr.includes('deletes nothing')]).toEqual([64, true]);
  });

  test('keeps nothing that cannot be deleted for want of a file', async () => {
    const {url, host} = sandbox;
    const a = await pushImage(url, repository, 'a', {layers: [Buffer.from('a')]});
    await plan(host, '--tag', '*');
    const run = await apply('--undo', temp.join('missing/directory/undo'));
    expect([run.code, run.stderr.includes('the undo file')]).toEqual([1, true]);
    expect(await tagsOf(url)).toEqual({a: a.digest});
  });
});

describe.each(['metadata-db', 'legacy'] as const)('GitLab in mode %s', (mode) => {
  test('takes tags back that were moved away', async () => {
    const layout = layoutDirectory('busybox');
    const seed = parseSeed({
      users: [
        {name: 'root', admin: true},
        {name: 'ada', password: 'ada-password'},
      ],
      groups: [{path: 'acme', members: {ada: 'maintainer'}}],
      projects: [{path: 'acme/app', images: [{layout}]}],
    });
    await using gitlab = await startGitLabSandbox({seed, mode});
    const env = {
      TRANSSHIP_SOURCE_USERNAME: 'ada',
      TRANSSHIP_SOURCE_PASSWORD: 'ada-password',
      TRANSSHIP_SOURCE_HOST: gitlab.host,
    };
    const {manifests} = gitlab.storage;
    const path = 'acme/app' as RepositoryPath;
    const digests = async () => {
      const tags = (await manifests.tags(path)).toSorted();
      return await Promise.all(
        tags.map(async (tag) => [tag, await manifests.resolve(path, tag)] as const),
      );
    };
    const before = await digests();
    const places = [`${gitlab.host}/acme/app`, `${sandbox.host}/${repository}`];
    const planned = ['plan', 'copy', ...places, '--delete-source', '--out', fileName()];
    expect((await transship(planned, {env})).code).toBe(0);
    expect((await transship(['apply', fileName(), '--yes'], {env})).code).toBe(0);
    expect(await digests()).toEqual([]);
    expect((await transship(['rollback', fileName()], {env})).code).toBe(0);
    expect(await digests()).toEqual(before);
  });
});
