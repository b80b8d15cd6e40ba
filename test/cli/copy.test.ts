import {createHash} from 'node:crypto';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {Digest} from '../../src/model/digest.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {loadLayout} from '../../src/sandbox/load-layout.ts';
import {GITLAB_FLAVOUR} from '../../src/sandbox/registry.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {layoutDirectory, type LayoutName, readCorpus} from '../support/fixtures.ts';
import {pushLayout, verifyLayout} from '../support/independent.ts';
import {pushImage, put} from '../support/push-image.ts';
import {transship} from '../support/transship.ts';

const corpus = await readCorpus();
const cleanup = new AsyncDisposableStack();
/** With the referrers API. */
let source: Sandbox;
let destination: Sandbox;
/** As GitLab: without. */
let gitlab: Sandbox;
let count = 0;
let repository: RepositoryPath;

beforeAll(async () => {
  source = cleanup.use(await startSandbox());
  destination = cleanup.use(await startSandbox());
  gitlab = cleanup.use(await startSandbox({flavour: GITLAB_FLAVOUR}));
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  repository = `test/r${++count}` as RepositoryPath;
});

async function copy(suffixes: readonly [string, string], ...flags: readonly string[]) {
  const [from, to] = suffixes;
  return await transship([
    'copy',
    `${source.host}/${repository}${from}`,
    `${destination.host}/${repository}${to}`,
    ...flags,
  ]);
}

async function tagsAt({storage}: Sandbox): Promise<readonly string[]> {
  return [...(await storage.manifests.tags(repository))].sort();
}

async function digestAt({storage}: Sandbox, tag: string): Promise<string | undefined> {
  return await storage.manifests.resolve(repository, tag as Tag);
}

function load(name: LayoutName, from = source): Promise<readonly string[]> {
  return loadLayout(from.storage, layoutDirectory(name), repository);
}

async function manifestAt({url}: Sandbox, reference: string | undefined): Promise<unknown> {
  const type = 'application/vnd.oci.image';
  const answer = await fetch(`${url}/v2/${repository}/manifests/${reference}`, {
    headers: {accept: `${type}.index.v1+json, ${type}.manifest.v1+json`},
  });
  return await answer.json();
}

function isOurs(path: string): boolean {
  return path.startsWith(`/v2/${repository}/`);
}

async function referrers({url}: Sandbox, subject: string): Promise<string[]> {
  const answer = await fetch(`${url}/v2/${repository}/referrers/${subject}`);
  const {manifests} = (await answer.json()) as {manifests: {digest: string}[]};
  return manifests.map(({digest}) => digest).sort();
}

describe('filters', () => {
  const images = {
    'v1.0.0': '2020-01-01T00:00:00Z',
    'v1.1.0': '2021-01-01T00:00:00Z',
    'v1.2.0-rc.1': '2022-01-01T00:00:00Z',
    'v2.0.0': '2023-01-01T00:00:00Z',
    latest: '2024-01-01T00:00:00+02:00',
    undated: undefined,
  };

  test.each([
    [[], Object.keys(images)],
    [
      ['--tag', 'v1.*'],
      ['v1.0.0', 'v1.1.0', 'v1.2.0-rc.1'],
    ],
    [
      ['--tag', 'v1.*', '--tag', 'latest', '--exclude-tag', '*-rc*'],
      ['v1.0.0', 'v1.1.0', 'latest'],
    ],
    [
      ['--semver', '^1'],
      ['v1.0.0', 'v1.1.0'],
    ],
    [
      ['--newest', '2'],
      ['v2.0.0', 'latest'],
    ],
    [
      ['--newer-than', '2022-06-01'],
      ['v2.0.0', 'latest'],
    ],
    [['--tag', 'v*', '--newest', '1'], ['v2.0.0']],
  ])('%j leave %j', async (flags, expected) => {
    for (const [tag, created] of Object.entries(images))
      await pushImage(source.url, repository, tag, created === undefined ? {} : {created});
    const run = await copy(['', ''], ...flags);
    expect(run).toMatchObject({code: 0, stderr: ''});
    expect(await tagsAt(destination)).toEqual([...expected].sort());
  });

  test('a filter that leaves nothing is no success', async () => {
    await load('busybox');
    const run = await copy(['', ''], '--tag', 'none');
    expect(run.code).toBe(3);
    expect(run.stderr).toContain('3 left out [NOTHING_SELECTED]');
    expect(await tagsAt(destination)).toEqual([]);
  });

  test('a filter that leaves nothing is one with --allow-empty', async () => {
    await load('busybox');
    const args = ['--tag', 'none', '--allow-empty'];
    expect(await copy(['', ''], ...args)).toMatchObject({code: 0, stderr: ''});
    const places = [`${source.host}/${repository}`, `${destination.host}/${repository}`];
    const planned = await transship(['plan', 'copy', ...places, ...args, '--detailed-exitcode']);
    expect(planned.code).toBe(0);
    expect(planned.stdout).toContain('3 skipped');
  });

  test('filters of tags and a single image do not go together', async () => {
    const run = await copy([':latest', ''], '--tag', 'v*');
    expect(run.code).toBe(64);
    expect(run.stderr).toContain('[USAGE]');
  });

  test('--platform makes an index of the chosen platforms, and reports it', async () => {
    await load('busybox');
    const run = await copy([':1.35', ''], '--platform', 'linux/arm64', '--platform', 'linux/amd64');
    expect(run.code).toBe(0);
    expect(run.stderr).toMatch(/^note: .*:1\.35 gets an index of 2 manifests instead of sha256:/);
    const digest = await digestAt(destination, '1.35');
    const {manifests} = (await manifestAt(destination, digest)) as {
      manifests: {platform: {architecture: string}}[];
    };
    expect(manifests.map(({platform}) => platform.architecture)).toEqual(['amd64', 'arm64']);
  });

  test('--platform leaves attestations out that the source does not have, and says which', async () => {
    await load('attested-buildkit');
    const [tag = ''] = Object.keys(corpus['attested-buildkit'].tags);
    const {manifests} = (await manifestAt(source, tag)) as {
      manifests: {digest: Digest; platform: {os: string; architecture: string}}[];
    };
    const lost = manifests.find(({platform}) => platform.os === 'unknown')?.digest;
    await source.storage.manifests.delete(repository, lost as Digest);
    const platforms = manifests.flatMap(({platform: {os, architecture}}) =>
      os === 'unknown' ? [] : ['--platform', `${os}/${architecture}`],
    );

    // Not chosen by anybody: the others are copied, and the exit code says that this one is not.
    await pushImage(source.url, repository, 'other');
    const without = await copy(['', '']);
    expect(without.code).toBe(1);
    expect(without.stdout).toContain('Incomplete: 1 image could not be copied');
    const there = await tagsAt(destination);
    expect(there).toContain('other');
    expect(there).not.toContain(tag);

    const run = await copy([`:${tag}`, ''], ...platforms);
    expect(run.code).toBe(0);
    expect(run.stderr).toContain(`without the attestations ${lost?.slice(0, 19)}`);
    const cut = (await manifestAt(destination, tag)) as {manifests: {digest: string}[]};
    expect(cut.manifests.map(({digest}) => digest)).toEqual(
      manifests.flatMap(({digest}) => (digest === lost ? [] : [digest])),
    );
  });

  test('--platform cuts an index that is asked for by a sha512 digest', async () => {
    await load('busybox');
    const type = 'application/vnd.oci.image.index.v1+json';
    const answer = await fetch(`${source.url}/v2/${repository}/manifests/1.35`, {
      headers: {accept: type},
    });
    const bytes = await answer.text();
    const digest = `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
    await put(`${source.url}/v2/${repository}/manifests/${digest}`, type, bytes);
    const platforms = ['--platform', 'linux/arm64', '--platform', 'linux/amd64'];
    expect((await copy([`@${digest}`, ':cut'], ...platforms)).code).toBe(0);
    const {manifests} = (await manifestAt(destination, 'cut')) as {manifests: object[]};
    expect(manifests).toHaveLength(2);
  });

  test('--platform that a single image does not have forbids the copy', async () => {
    await load('busybox');
    const run = await copy([':1.35', ''], '--platform', 'windows/amd64');
    expect(run.code).toBe(3);
    expect(run.stderr).toMatch(/^error: .*:1\.35.*linux\/amd64.*\[SKIPPED|SOURCE_INCOMPLETE\]/);
    expect(await tagsAt(destination)).toEqual([]);
  });
});

describe('a single image', () => {
  const {tags} = corpus.busybox;

  test('keeps its tag, without other content', async () => {
    await load('busybox');
    expect((await copy([':latest', ''])).code).toBe(0);
    expect(await tagsAt(destination)).toEqual(['latest']);
  });

  test('gets another tag', async () => {
    await load('busybox');
    expect((await copy([':latest', ':stable'])).code).toBe(0);
    expect(await tagsAt(destination)).toEqual(['stable']);
    expect(await digestAt(destination, 'stable')).toBe(tags['latest']?.digest);
  });

  test('is found by digest, with a tag or without', async () => {
    await load('busybox');
    const digest = tags['1.35-amd64']?.digest;
    expect((await copy([`@${digest}`, ''])).code).toBe(0);
    expect(await tagsAt(destination)).toEqual([]);
    expect(await manifestAt(destination, digest)).toMatchObject({schemaVersion: 2});
    expect((await copy([`@${digest}`, ':amd64'])).code).toBe(0);
    expect(await digestAt(destination, 'amd64')).toBe(digest);
  });

  test('moves a tag that is there', async () => {
    await load('busybox');
    await copy([':latest', ':x']);
    expect((await copy([':1.35-amd64', ':x'])).code).toBe(0);
    expect(await digestAt(destination, 'x')).toBe(tags['1.35-amd64']?.digest);
  });
});

describe('attachments of an image are copied with it', () => {
  test('signatures by tag, also those of a child', async () => {
    const tags = await load('signed');
    expect((await copy([':1.0', ''])).code).toBe(0);
    expect(await tagsAt(destination)).toEqual([...tags].sort());
  });

  test('referrers, and what refers to those, in the API', async () => {
    await load('referrers');
    expect((await copy([':1.0', ''])).code).toBe(0);
    const subject = corpus.referrers.tags['1.0']?.digest ?? '';
    const [mine, theirs] = await Promise.all([
      referrers(source, subject),
      referrers(destination, subject),
    ]);
    expect(mine.length).toBeGreaterThan(0);
    expect(theirs).toEqual(mine);
  });

  test('referrers, in a fallback tag where there is no API', async () => {
    await load('referrers');
    const places = [`${source.host}/${repository}:1.0`, `${gitlab.host}/${repository}`];
    expect((await transship(['copy', ...places])).code).toBe(0);
    const subject = corpus.referrers.tags['1.0']?.digest ?? '';
    const {manifests} = (await manifestAt(gitlab, subject.replace(':', '-'))) as {
      manifests: {digest: string}[];
    };
    expect(manifests.map(({digest}) => digest).sort()).toEqual(await referrers(source, subject));
    const puts = gitlab.log.entries
      .filter(({method, kind, path}) => `${method} ${kind}` === 'PUT manifest' && isOurs(path))
      .map(({path}) => path);
    expect(puts).toEqual([...new Set(puts)]);
  });
});

test('inside a registry blobs are mounted: not a byte of them travels', async () => {
  await using registry = await startDockerRegistry();
  const layout = layoutDirectory('layered');
  await pushLayout(layout, registry.url, 'one');
  await registry.forgetRequests();

  const run = await transship(['copy', `${registry.host}/one`, `${registry.host}/two/deep`]);

  expect(run.code).toBe(0);
  expect(run.stdout).toMatch(/\(0 B in 0 blobs\), \d+ mounted/);
  const requests = await registry.requests();
  expect(requests.filter(({method, path}) => method === 'GET' && path.includes('/blobs/'))).toEqual(
    [],
  );
  expect(requests.filter(({method}) => method === 'PATCH')).toEqual([]);
  const {problems} = await verifyLayout(layout, registry.url, 'two/deep', {exactTags: true});
  expect(problems).toEqual([]);
});

test('of a directory that is not there the path is to be checked, not a login', async () => {
  const {code, stderr} = await transship(['copy', 'oci:not-here', 'oci:nor-there']);
  expect(code).toBe(1);
  expect(stderr).toContain('oci:not-here does not exist [REPOSITORY_NOT_FOUND]');
  expect(stderr).toContain('hint: check the path\n');
});
