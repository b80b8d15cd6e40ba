import {readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test} from 'vitest';
import {RunTally} from '../../src/cli/reporters/run-tally.ts';
import type {RunEvent} from '../../src/model/event.ts';
import type {RunResult, StatusResult} from '../../src/model/outcome.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {emptyReply, type Exchange, type Reply} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {runCli} from '../support/cli.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {startForwarder} from '../support/forwarder.ts';
import {pushImage} from '../support/push-image.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship, type TransshipOptions} from '../support/transship.ts';

const KiB = 1024;
const cleanup = new AsyncDisposableStack();
/** Answers in place of the destination; undefined: the destination does. */
let answer: (exchange: Exchange) => Reply | undefined | Promise<Reply | undefined>;
let source: Sandbox;
let destination: Sandbox;
let home: TempDirectory;
/** Layers that all images of a test have. */
let base: readonly Buffer[];
let count = 0;
/** A group of its own for each test. */
let group: string;

beforeAll(async () => {
  source = cleanup.use(await startSandbox());
  destination = cleanup.use(
    await startSandbox({intercept: async (exchange, next) => (await answer(exchange)) ?? next()}),
  );
});
afterAll(() => cleanup.disposeAsync());
beforeEach(async () => {
  answer = () => undefined;
  home = await tempDirectory();
  onTestFinished(() => home[Symbol.asyncDispose]());
  group = `g${++count}`;
  base = [someBytes(300 * KiB), someBytes(200 * KiB), someBytes(20 * KiB)];
  for (const name of ['a', 'b', 'c'])
    await storeImage(source.storage, `${group}/${name}` as RepositoryPath, 'v1', [
      ...base,
      someBytes(KiB),
    ]);
  destination.log.clear();
  source.log.clear();
});

const BASE = 520 * KiB;

function places(name: string): readonly [string, string] {
  return [`${source.host}/${group}/${name}`, `${destination.host}/${group}/${name}`];
}

function copy(name: string, options: TransshipOptions = {}, ...flags: readonly string[]) {
  return transship(['copy', ...places(name), '--format', 'json', ...flags], {
    home: home.path,
    ...options,
  });
}

async function copied(name: string, ...flags: readonly string[]): Promise<RunResult> {
  const run = await copy(name, {}, ...flags);
  expect(run.stderr).not.toContain('error:');
  expect(run.code).toBe(0);
  await expectWhole(name);
  return JSON.parse(run.stdout) as RunResult;
}

async function planned(name: string): Promise<string> {
  const args = ['plan', 'copy', ...places(name), '--format', 'json'];
  return (await transship(args, {home: home.path})).stdout;
}

/** Every blob of the image is in its repository. */
async function expectWhole(name: string): Promise<void> {
  const {manifests, blobs} = destination.storage;
  const repository = `${group}/${name}` as RepositoryPath;
  const digest = await manifests.resolve(repository, 'v1' as Tag);
  const manifest = digest && (await manifests.get(repository, digest));
  expect(manifest && manifest.blobs.length).toBe(base.length + 2);
  for (const blob of manifest?.blobs ?? [])
    expect(await blobs.size(repository, blob.digest)).toBeDefined();
}

function isMount({method, query}: Pick<Exchange, 'method' | 'query'>): boolean {
  return method === 'POST' && query.has('mount');
}

/** Deletes the image of a repository, and what garbage collection would. */
async function deleteImage(name: string): Promise<void> {
  const {manifests, blobs} = destination.storage;
  const repository = `${group}/${name}` as RepositoryPath;
  const digest = await manifests.resolve(repository, 'v1' as Tag);
  const manifest = digest && (await manifests.get(repository, digest));
  if (!manifest) throw new Error(`${repository} has no image`);
  for (const blob of manifest.blobs) await blobs.unlink(repository, blob.digest);
  await manifests.delete(repository, manifest.digest);
}

test('five runs send a common base to docker-registry once', async () => {
  await using registry = await startDockerRegistry();
  await using proxy = await startForwarder(registry.host);
  const layers = [someBytes(3 * 1024 * KiB), someBytes(1024 * KiB), someBytes(40 * KiB)];
  for (const n of [1, 2, 3, 4, 5]) {
    const own = someBytes(KiB);
    await pushImage(source.url, `${group}/five${n}`, 'v1', {layers: [...layers, own]});
    const from = `${source.host}/${group}/five${n}`;
    const to = `${proxy.host}/app${n}`;
    proxy.forget();
    // A copy in one go, or a plan that is applied: alternately.
    const plan = home.join(`${n}.plan.json`);
    const runs =
      n % 2 === 1
        ? [['copy', from, to]]
        : [
            ['plan', 'copy', from, to, '--out', plan],
            ['apply', plan],
          ];
    for (const args of runs) expect((await transship(args, {home: home.path})).code).toBe(0);
    const sent = proxy.requests
      .filter(({path}) => path.includes('/blobs/uploads/'))
      .reduce((sum, request) => sum + request.sent, 0);
    const all = [...layers, own].reduce((sum, {byteLength}) => sum + byteLength, 0);
    const [least, most] = n === 1 ? [all, Infinity] : [0, 4 * KiB];
    expect(sent).toBeGreaterThanOrEqual(least);
    expect(sent).toBeLessThan(most);
    const pulled = await fetch(`${registry.url}/v2/app${n}/manifests/v1`, {
      headers: {accept: 'application/vnd.oci.image.manifest.v1+json'},
    });
    expect(pulled.status).toBe(200);
  }
});

test('copied and found blobs are mounted, and reported as such', async () => {
  expect((await copied('a')).blobs).toEqual({copied: 5, mounted: 0, present: 0});
  const second = await copied('b');
  expect(second.blobs).toEqual({copied: 2, mounted: 3, present: 0});
  expect(second.bytes.sent).toBeLessThan(3 * KiB);
});

test('a plan does not depend on the cache', async () => {
  const before = await planned('b');
  await copied('a');
  expect(await planned('b')).toBe(before);
});

test('the journal, the status and the progress of a run count a mount as done', async () => {
  await copied('a');
  const file = home.join('b.plan.json');
  await transship(['plan', 'copy', ...places('b'), '--out', file], {home: home.path});
  const apply = await transship(['apply', file, '--progress', 'json'], {home: home.path});
  expect(apply.code).toBe(0);
  const tally = new RunTally();
  for (const line of apply.stderr.trimEnd().split('\n')) tally.add(JSON.parse(line) as RunEvent);
  expect(tally.bytes).toBeGreaterThan(BASE);
  expect(tally.acknowledged).toBe(tally.bytes);
  expect(tally.travelled).toBeLessThan(3 * KiB);
  const {stdout} = await transship(['status', file, '--format', 'json'], {home: home.path});
  const {bytes, uploads} = JSON.parse(stdout) as StatusResult;
  expect(bytes.done).toBe(bytes.total);
  expect(uploads).toEqual([]);
});

test('a run that finds all blobs at the destination remembers them', async () => {
  await copied('a');
  // Another machine has no memory.
  await rm(home.join('.cache'), {recursive: true});
  expect((await copied('a')).blobs.copied).toBe(0);
  expect((await copied('b')).blobs).toEqual({copied: 2, mounted: 3, present: 0});
});

test('a repository that the login may not read costs no copy and no request to mount', async () => {
  const password = 'pass-word';
  const everything = {repository: '**', actions: ['*' as const]};
  const users = [
    {name: 'admin', password, grants: [everything]},
    {name: 'dev', password, grants: [{repository: 'dev/*', actions: ['*' as const]}]},
  ];
  await using registry = await startSandbox({auth: {kind: 'token', users}});
  const copyAs = async (user: string, name: string, to: string) => {
    const env = {TRANSSHIP_DESTINATION_USERNAME: user, TRANSSHIP_DESTINATION_PASSWORD: password};
    const args = ['copy', `${source.host}/${group}/${name}`, `${registry.host}/${to}`];
    const run = await transship([...args, '--format', 'json'], {home: home.path, env});
    expect(run.code).toBe(0);
    return (JSON.parse(run.stdout) as RunResult).blobs;
  };
  const mounts = () => registry.log.entries.filter(({path}) => path.includes('mount=')).length;
  expect((await copyAs('admin', 'a', 'secret/a')).copied).toBe(5);
  expect((await copyAs('dev', 'b', 'dev/b')).copied).toBe(5);
  expect(mounts()).toBe(0);
  expect((await copyAs('dev', 'c', 'dev/c')).mounted).toBe(3);
  expect(mounts()).toBe(3);
});

describe('a memory that is wrong costs no copy', () => {
  test('where the repository was deleted', async () => {
    await copied('a');
    await deleteImage('a');
    expect((await copied('b')).blobs).toEqual({copied: 5, mounted: 0, present: 0});
    // What was declined is forgotten, and what was sent instead is remembered.
    expect((await copied('c')).blobs).toEqual({copied: 2, mounted: 3, present: 0});
  });

  test.each([
    ['403', () => emptyReply(403)],
    ['401', () => emptyReply(401)],
    ['404', () => emptyReply(404)],
    ['405', () => emptyReply(405)],
    ['200', () => emptyReply(200)],
    ['201, and does not have the blob', () => emptyReply(201)],
  ])('where the registry answers %s', async (_what, reply) => {
    await copied('a');
    answer = (exchange) => (isMount(exchange) ? reply() : undefined);
    expect((await copied('b')).blobs).toEqual({copied: 5, mounted: 0, present: 0});
  });

  test('if a mounted blob is missing when the manifest is pushed', async () => {
    await copied('a');
    const lost = new Set<string>();
    answer = async (exchange) => {
      const {method, route, query} = exchange;
      const digest = query.get('mount');
      // Says that it has it, also when it is asked, until the bytes are sent.
      if (method === 'POST' && digest !== null) {
        lost.add(digest);
        const location = `${exchange.origin}/v2/${group}/b/blobs/${digest}`;
        return emptyReply(201, {location, 'docker-content-digest': digest});
      }
      return method === 'HEAD' && route.kind === 'blob' && lost.has(route.digest)
        ? emptyReply(200, {'docker-content-digest': route.digest, 'content-length': '1'})
        : undefined;
    };
    // Mounted, missed by the manifest, and sent.
    expect((await copied('b')).bytes.sent).toBeGreaterThan(BASE);
    expect(lost.size).toBe(3);
  });
});

test('where mounts are declined, a blob costs one request, and few are tried', async () => {
  const names = Array.from({length: 30}, (_, n) => `n${n}`);
  const layers = names.map(() => someBytes(20 * KiB));
  for (const name of ['many', 'again'])
    await storeImage(source.storage, `${group}/${name}` as RepositoryPath, 'v1', layers);
  expect((await copy('many')).code).toBe(0);
  const first = destination.log.entries.length;
  destination.log.clear();
  let mounts = 0;
  answer = (exchange) => {
    if (!isMount(exchange)) return undefined;
    mounts += 1;
    return emptyReply(403);
  };
  expect((await copy('again')).code).toBe(0);
  expect(mounts).toBe(3);
  expect(destination.log.entries.length - first).toBe(mounts);
});

test('a mount that is declined with an upload uses it', async () => {
  await copied('a');
  answer = async (exchange) => {
    if (isMount(exchange)) exchange.query.set('from', `${group}/nobody`);
    return undefined;
  };
  destination.log.clear();
  expect((await copied('b')).blobs.copied).toBe(5);
  const opened = destination.log.entries.filter(
    ({method, kind}) => method === 'POST' && kind === 'uploads',
  );
  expect(opened).toHaveLength(5);
});

test('a small blob is uploaded, since that takes no longer', async () => {
  const small = someBytes(4 * KiB);
  for (const name of ['s', 't'])
    await storeImage(source.storage, `${group}/${name}` as RepositoryPath, 'v1', [small]);
  let mounts = 0;
  answer = (exchange) => {
    if (isMount(exchange)) mounts += 1;
    return undefined;
  };
  expect((await copy('s')).code).toBe(0);
  expect((await copy('t')).code).toBe(0);
  expect(mounts).toBe(0);
});

test('an image that names a layer which its source does not have does not get it', async () => {
  await copied('a');
  const {blobs} = source.storage;
  const repository = `${group}/b` as RepositoryPath;
  const digest = await source.storage.manifests.resolve(repository, 'v1' as Tag);
  const manifest = digest && (await source.storage.manifests.get(repository, digest));
  const stolen = manifest?.blobs.find(({size}) => size === 300 * KiB);
  if (!stolen) throw new Error('the image has no such layer');
  await blobs.unlink(repository, stolen.digest);
  const run = await copy('b');
  expect(run.code).toBe(1);
  const {manifests} = destination.storage;
  expect(await manifests.resolve(repository, 'v1' as Tag)).toBeUndefined();
  expect(await destination.storage.blobs.size(repository, stolen.digest)).toBeUndefined();
});

test('an upload of an earlier run is continued', async () => {
  const file = home.join('a.plan.json');
  await transship(['plan', 'copy', ...places('a'), '--out', file], {home: home.path});
  const stopping = new AbortController();
  answer = ({method}) => {
    if (method === 'PATCH') stopping.abort();
    return undefined;
  };
  const apply = (options: TransshipOptions = {}) =>
    transship(['apply', file, '--chunk-size', '64KiB', '--jobs', '1', '--format', 'json'], {
      home: home.path,
      ...options,
    });
  expect((await apply({stopping: stopping.signal})).code).toBe(130);
  answer = () => undefined;
  // Meanwhile another run brings the same blobs.
  await copied('b');
  const run = await apply();
  expect(run.code).toBe(0);
  const {blobs, bytes} = JSON.parse(run.stdout) as RunResult;
  expect(blobs.copied).toBeGreaterThan(0);
  expect(bytes.sent).toBeLessThan(300 * KiB);
  await expectWhole('a');
});

test.each([
  ['--no-cache', ['--no-cache'], {}],
  ['TRANSSHIP_NO_CACHE', [], {TRANSSHIP_NO_CACHE: '1'}],
])('with %s nothing is remembered and nothing is used', async (_what, flags, env) => {
  expect((await copy('a', {env}, ...flags)).code).toBe(0);
  expect(await readdir(home.path)).not.toContain('.cache');
  await copied('b');
  const third = await copy('c', {env}, ...flags);
  expect((JSON.parse(third.stdout) as RunResult).blobs.mounted).toBe(0);
});

test('a damaged file is no failure', async () => {
  await copied('a');
  const directory = home.join('.cache', 'transship', 'blobs');
  for (const name of await readdir(directory))
    await writeFile(join(directory, name), 'no\0thing\n');
  expect((await copied('b')).blobs.mounted).toBe(0);
  expect((await copied('c')).blobs.mounted).toBe(3);
});

test('two concurrent processes copy what they need, and the next one uses both', async () => {
  const env = {HOME: home.path};
  const runs = ['a', 'b'].map((name) => runCli(['copy', ...places(name)], {env}));
  expect((await Promise.all(runs)).map(({code}) => code)).toEqual([0, 0]);
  await expectWhole('a');
  await expectWhole('b');
  await deleteImage('a');
  answer = ({query}) => (query.get('from') === `${group}/a` ? emptyReply(404) : undefined);
  const {blobs} = await copied('c');
  expect(blobs.copied + blobs.mounted).toBe(5);
});

test('no secret is in the cache', async () => {
  const env = {
    TRANSSHIP_DESTINATION_USERNAME: 'ada',
    TRANSSHIP_DESTINATION_PASSWORD: 's3cr3t-word',
  };
  expect((await copy('a', {env})).code).toBe(0);
  const directory = home.join('.cache', 'transship', 'blobs');
  for (const name of await readdir(directory)) {
    const text = await readFile(join(directory, name), 'utf8');
    expect(text).toMatch(/^(?:\+ sha256:[0-9a-f]{64} [a-z0-9/]+\n)+$/);
  }
});
