import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import {type CopyPlan, deletionsOf} from '../../src/model/plan.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {type ImageContent, pushImage, pushIndex} from '../support/push-image.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let registry: Sandbox;
let temp: TempDirectory;
let count = 0;
let repository: string;

beforeAll(async () => {
  registry = cleanup.use(await startSandbox());
  temp = cleanup.use(await tempDirectory());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  repository = `test/r${++count}`;
});

const DAY = 86_400_000;

/** @param days its age */
const push = (tag: string, days: number, content: ImageContent = {}, url = registry.url) =>
  pushImage(url, repository, tag, {
    created: new Date(Date.now() - days * DAY).toISOString(),
    layers: [Buffer.from(`${repository} ${tag}`)],
    ...content,
  });

const fileName = () => temp.join(`${count}.plan.json`);
const plan = (...rules: readonly string[]) =>
  transship(['plan', 'delete', `${registry.host}/${repository}`, '--out', fileName(), ...rules]);
const apply = (...flags: readonly string[]) => transship(['apply', fileName(), '--yes', ...flags]);

async function chosen(...rules: readonly string[]): Promise<readonly (string | undefined)[]> {
  const run = await plan('--format', 'json', ...rules);
  expect(run).toMatchObject({code: 0, stderr: ''});
  return deletionsOf(JSON.parse(run.stdout) as CopyPlan).map(({tag}) => tag);
}

async function tagsLeft(url = registry.url): Promise<readonly string[]> {
  const answer = await fetch(`${url}/v2/${repository}/tags/list`);
  const {tags} = (await answer.json()) as {tags: string[] | null};
  return (tags ?? []).toSorted();
}

describe('plan delete', () => {
  test('chooses by name, age and number', async () => {
    for (const [tag, days] of Object.entries({
      'dev-1': 50,
      'dev-2': 40,
      'dev-3': 5,
      v1: 90,
      v2: 60,
    }))
      await push(tag, days);
    expect(await chosen('--tag', 'dev-*')).toEqual(['dev-1', 'dev-2', 'dev-3']);
    expect(await chosen('--tag', 'dev-*', '--older-than', '30d')).toEqual(['dev-1', 'dev-2']);
    expect(await chosen('--older-than', '30d', '--keep', 'v*')).toEqual(['dev-1', 'dev-2']);
    expect(await chosen('--keep-newest', '2', '--keep', 'v*')).toEqual(['dev-1']);
    expect(await chosen('--semver', '<2')).toEqual(['v1']);
    expect(await chosen('--tag', '*', '--exclude-tag', 'dev-*', '--older-than', '70d')).toEqual([
      'v1',
    ]);
  });

  test('shows deleted and kept tags with reasons, and applies it', async () => {
    await push('dev-1', 50);
    await push('dev-2', 5);
    await push('v1', 90);
    const review = await plan('--older-than', '30d', '--keep', 'v*');
    expect(review.stdout).toMatch(
      /To delete \(1\)[^]*dev-1[^]*of \d{4}-\d{2}-\d{2}; \d+ bytes in 2 blobs/,
    );
    expect(review.stdout).toMatch(/dev-2 +filtered +--older-than: of /);
    expect(review.stdout).toMatch(/v1 +filtered +--keep v\*/);
    expect(await tagsLeft()).toEqual(['dev-1', 'dev-2', 'v1']);
    expect((await transship(['apply', fileName()])).code).toBe(64);
    const run = await apply();
    expect(run.code).toBe(0);
    expect(run.stdout).toContain('1 tag deleted.');
    expect(await tagsLeft()).toEqual(['dev-2', 'v1']);
    expect((await apply()).code).toBe(0);
  });

  test('keeps a tag that was pushed again after planning', async () => {
    await push('dev-1', 50);
    await push('dev-2', 50);
    await plan('--tag', 'dev-*');
    await push('dev-1', 0, {layers: [Buffer.from('new')]});
    expect((await apply()).code).toBe(4);
    expect(await tagsLeft()).toEqual(['dev-1']);
  });

  test('keeps tags without an age if a rule needs one', async () => {
    await pushImage(registry.url, repository, 'dateless');
    await push('old', 50);
    expect(await chosen('--older-than', '30d')).toEqual(['old']);
    expect(await chosen('--keep-newest', '1')).toEqual([]);
  });

  test('takes signatures along, unless the image stays under another tag', async () => {
    const old = await push('dev-1', 50);
    const both = await push('dev-2', 50);
    await pushImage(registry.url, repository, 'v1', {
      created: JSON.parse(await configOf(both.config.digest)).created as string,
      layers: [Buffer.from(`${repository} dev-2`)],
    });
    for (const {digest} of [old, both])
      await push(`${digest.replace(':', '-')}.sig`, 50, {layers: [Buffer.from(digest)]});
    const review = await plan('--tag', 'dev-*');
    expect(review.stdout).toContain('same digest as v1');
    expect((await apply()).code).toBe(0);
    expect(await tagsLeft()).toEqual([`${both.digest.replace(':', '-')}.sig`, 'v1']);
  });

  test('needs a rule, and a repository', async () => {
    await push('a', 1);
    expect((await plan()).stderr).toContain('no rule selects the tags');
    const tagged = await transship([
      'plan',
      'delete',
      `${registry.host}/${repository}:a`,
      '--tag=*',
    ]);
    expect(tagged.code).toBe(64);
    expect((await transship(['plan', 'delete', 'oci:dir', '--tag=*'])).code).toBe(64);
    expect((await plan('--older-than', 'yesterday')).stderr).toContain('--older-than "yesterday"');
  });

  test('ends at --max-deletes', async () => {
    for (const tag of ['a', 'b', 'c']) await push(tag, 1);
    await plan('--tag', '*');
    const run = await apply('--max-deletes', '1');
    expect(run.code).toBe(130);
    expect(run.stdout).toContain('--max-deletes');
    expect(await tagsLeft()).toHaveLength(2);
    expect((await apply()).code).toBe(0);
    expect(await tagsLeft()).toEqual([]);
  });

  test('leaves what an index or another tag needs, where a registry deletes by digest only', async () => {
    await using old = await startDockerRegistry();
    const amd = await push('dev-amd', 50, {}, old.url);
    await push('dev-free', 50, {}, old.url);
    await pushIndex(old.url, repository, 'v1', [amd]);
    const review = await transship([
      'plan',
      'delete',
      `${old.host}/${repository}`,
      '--tag=dev-*',
      '--out',
      fileName(),
    ]);
    expect(review.stdout).toContain('keeps dev-amd: the index v1 stays and lists it');
    expect((await apply()).code).toBe(0);
    expect(await tagsLeft(old.url)).toEqual(['dev-amd', 'v1']);
  });
});

async function configOf(digest: string): Promise<string> {
  return await (await fetch(`${registry.url}/v2/${repository}/blobs/${digest}`)).text();
}
