import {writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {pushImage} from '../support/push-image.ts';
import {storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let source: Sandbox;
let destination: Sandbox;
/** Deletes by digest only. */
let registry: DockerRegistry;
let temp: TempDirectory;
let count = 0;
let repository: RepositoryPath;
let file: string;

beforeAll(async () => {
  source = cleanup.use(await startSandbox());
  destination = cleanup.use(await startSandbox());
  registry = cleanup.use(await startDockerRegistry());
  temp = cleanup.use(await tempDirectory());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  repository = `team/r${++count}` as RepositoryPath;
  file = temp.join(`${count}.yaml`);
});

const store = (tag: string, text = tag, at: Sandbox = source) =>
  storeImage(at.storage, repository, tag, [Buffer.from(text)]);
const lose = (tag: string) => source.storage.manifests.untag(repository, tag as Tag);
const left = async () => (await destination.storage.manifests.tags(repository)).toSorted();

async function writeRoutes(prune: string, tags = '', host = destination.host): Promise<void> {
  await writeFile(
    file,
    `version: 1\nfrom: ${source.host}\nto: ${host}\nroutes:\n  - from: ${repository}\n    to: '{path}'\n${tags}prune: ${prune}\n`,
  );
}

/** A plan that was made and applied before the source lost something. */
async function earlierPlan(tags = '', host?: string): Promise<string> {
  const first = temp.join(`${count}.first.plan.json`);
  await writeRoutes('false', tags, host);
  expect((await transship(['plan', file, '--out', first])).code).toBe(0);
  expect((await transship(['apply', first])).code).toBe(0);
  return first;
}

const plan = (first: string) => {
  const out = temp.join(`${count}.second.plan.json`);
  return transship(['plan', file, '--since', first, '--out', out]);
};
const apply = () => transship(['apply', temp.join(`${count}.second.plan.json`), '--yes']);

describe('prune', () => {
  test('deletes what an earlier plan brought and the source no longer has, and nothing else', async () => {
    for (const tag of ['a', 'b', 'c']) await store(tag);
    const first = await earlierPlan();
    await store('foreign', 'foreign', destination);
    await store('c', 'pushed by somebody', destination);
    await lose('b');
    await lose('c');
    await writeRoutes('{maxDeletes: 2}');
    const planned = await plan(first);
    expect(planned.code).toBe(0);
    expect(planned.stdout).toContain('To delete (1)');
    expect(planned.stdout).toContain(`${repository}:b`);
    expect(planned.stdout).toContain('they were changed here');
    expect((await apply()).code).toBe(0);
    expect(await left()).toEqual(['a', 'c', 'foreign']);
    expect((await apply()).stdout).toContain('0 tags deleted, 1 gone before.');
  });

  test('keeps tags that only a filter leaves out', async () => {
    for (const tag of ['v1', 'v2']) await store(tag);
    const first = await earlierPlan();
    await writeRoutes('{maxDeletes: 9}', "    tags: {include: ['v2']}\n");
    const planned = await plan(first);
    expect(planned.stdout).not.toContain('To delete');
    expect(planned.code).toBe(0);
  });

  test('knows what a tag was called at the source', async () => {
    const rename = "    tags: {rename: {'release-(.*)': 'v$1'}}\n";
    for (const tag of ['release-1', 'release-2']) await store(tag);
    const first = await earlierPlan(rename);
    await writeRoutes('{maxDeletes: 9}', rename);
    // A second time, from a plan that found all of it there.
    expect((await plan(first)).code).toBe(0);
    await lose('release-2');
    expect((await plan(temp.join(`${count}.second.plan.json`))).code).toBe(0);
    expect((await apply()).code).toBe(0);
    expect(await left()).toEqual(['v1']);
  });

  test('forbids a plan that would delete more than it allows', async () => {
    for (const tag of ['a', 'b', 'c']) await store(tag);
    const first = await earlierPlan();
    for (const tag of ['a', 'b']) await lose(tag);
    await writeRoutes('{maxDeletes: 1}');
    const planned = await plan(first);
    expect(planned.code).toBe(3);
    expect(planned.stdout).toContain('2 tags would be deleted');
    expect((await apply()).code).toBe(3);
    expect(await left()).toEqual(['a', 'b', 'c']);
  });

  test('needs an earlier plan', async () => {
    await store('a');
    await writeRoutes('{maxDeletes: 1}');
    const run = await transship(['plan', file]);
    expect(run.code).toBe(64);
    expect(run.stderr).toContain('--since OLD.plan.json');
  });

  test('keeps what a new tag shares its digest with, where a registry deletes by digest only', async () => {
    await store('old');
    await store('gone');
    const first = await earlierPlan('', registry.host);
    const digest = await source.storage.manifests.resolve(repository, 'old' as Tag);
    const manifest = digest && (await source.storage.manifests.get(repository, digest));
    if (manifest) await source.storage.manifests.put(repository, manifest, 'new' as Tag);
    await lose('old');
    await lose('gone');
    await pushImage(registry.url, repository, 'theirs');
    await writeRoutes('{maxDeletes: 9}', '', registry.host);
    const planned = await plan(first);
    expect(planned.stdout).toContain('keeps old: new stays and has the same digest');
    expect((await apply()).code).toBe(0);
    const answer = await fetch(`${registry.url}/v2/${repository}/tags/list`);
    const {tags} = (await answer.json()) as {tags: string[]};
    expect(tags.toSorted()).toEqual(['new', 'old', 'theirs']);
  });
});
