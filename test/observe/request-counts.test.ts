import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {loadLayout} from '../../src/sandbox/load-layout.ts';
import {GITLAB_FLAVOUR} from '../../src/sandbox/registry.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {layoutDirectory, type LayoutName, readCorpus} from '../support/fixtures.ts';
import {pushLayout} from '../support/independent.ts';
import {transship} from '../support/transship.ts';

const corpus = await readCorpus();
const cleanup = new AsyncDisposableStack();
/** Without the referrers API, as GitLab. */
let source: Sandbox;
let destination: Sandbox;
/** With it. */
let modern: Sandbox;
let count = 0;
let repository: RepositoryPath;

beforeAll(async () => {
  source = cleanup.use(await startSandbox({flavour: GITLAB_FLAVOUR}));
  destination = cleanup.use(await startSandbox({flavour: GITLAB_FLAVOUR}));
  modern = cleanup.use(await startSandbox());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  repository = `test/r${++count}` as RepositoryPath;
});

async function plan(from: Sandbox, suffix = '', ...flags: readonly string[]): Promise<void> {
  for (const {log} of [source, destination, modern]) log.clear();
  const places = [`${from.host}/${repository}${suffix}`, `${destination.host}/${repository}`];
  const run = await transship(['plan', 'copy', ...places, ...flags]);
  expect(run).toMatchObject({code: 0, stderr: ''});
}

/** What was asked of a registry about the repository, by method and kind. */
function asked({log}: Sandbox): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const {method, kind, path} of log.entries) {
    if (!path.startsWith(`/v2/${repository}/`)) continue;
    const key = `${method} ${kind}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

const load = (to: Sandbox, name: LayoutName) =>
  loadLayout(to.storage, layoutDirectory(name), repository);
const tagsOf = (name: LayoutName): number => Object.keys(corpus[name].tags).length;

/** Each manifest once, but an image once for each of its tags: what a tag points to is known only when it is read. */
function reads(name: LayoutName): number {
  const roots = Object.values(corpus[name].tags).map(({digest}) => digest);
  return Object.keys(corpus[name].manifests).length + roots.length - new Set(roots).size;
}

test.each(['layered', 'signed'] as const)(
  'into a repository that is not there every manifest of %s is read once',
  async (name) => {
    await load(source, name);
    await plan(source);
    const read = {'GET tags': 1, 'GET manifest': reads(name), 'GET referrers': 1};
    expect(asked(source)).toEqual(read);
    expect(asked(destination)).toEqual({'GET tags': 1});
  },
);

test.each(['layered', 'busybox', 'signed'] as const)(
  'with nothing to do each tag of %s costs one HEAD on each side',
  async (name) => {
    await load(source, name);
    await pushLayout(layoutDirectory(name), destination.url, repository);
    await plan(source);
    const heads = {'GET tags': 1, 'HEAD manifest': tagsOf(name)};
    expect(asked(source)).toEqual({...heads, 'GET referrers': 1});
    expect(asked(destination)).toEqual(heads);
  },
);

test('where one tag is new only its manifest is read', async () => {
  await load(source, 'layered');
  const [, ...others] = Object.keys(corpus.layered.tags);
  await pushLayout(layoutDirectory('layered'), destination.url, repository, {tags: others});
  await plan(source);
  expect(asked(source)).toMatchObject({'HEAD manifest': others.length, 'GET manifest': 1});
});

test('a single image costs its manifest and the names', async () => {
  await load(source, 'layered');
  await plan(source, ':v1');
  expect(asked(source)).toEqual({'GET tags': 1, 'GET manifest': 1, 'GET referrers': 1});
  expect(asked(destination)).toEqual({'GET tags': 1});
});

test('--newest reads one config for each image', async () => {
  await load(source, 'layered');
  await plan(source, '', '--newest', '3');
  expect(asked(source)).toMatchObject({'GET blob': tagsOf('layered')});
});

describe('a source with the referrers API', () => {
  const {manifests} = corpus.referrers;

  test('is asked once for each manifest', async () => {
    await load(modern, 'referrers');
    await plan(modern, ':1.0');
    const counts = asked(modern);
    expect(counts['GET referrers']).toBe(counts['GET manifest']);
    expect(counts['GET manifest']).toBeLessThanOrEqual(Object.keys(manifests).length);
  });

  test('reports a new attachment of a child of an existing image', async () => {
    await load(modern, 'referrers');
    await pushLayout(layoutDirectory('referrers'), destination.url, repository, {tags: ['1.0']});
    const places = [`${modern.host}/${repository}:1.0`, `${destination.host}/${repository}`];
    const run = await transship(['plan', 'copy', ...places, '--format', 'json']);
    const {steps} = JSON.parse(run.stdout) as {steps: {digest: string; tag?: string}[]};
    const artifacts = steps.filter(({tag}) => tag === undefined);
    expect(artifacts.length).toBeGreaterThan(0);
    for (const {digest} of artifacts) expect(manifests[digest]).toHaveProperty('subject');
  });
});
