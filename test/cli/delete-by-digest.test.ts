import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {RunResult} from '../../src/model/outcome.ts';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {OCI_INDEX_TYPE, pushImage, pushIndex, put} from '../support/push-image.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

// docker-registry 2.8 deletes manifests by digest only, and with one all of its tags.

const cleanup = new AsyncDisposableStack();
let source: DockerRegistry;
let destination: DockerRegistry;
let count = 0;
let repository: string;

beforeAll(async () => {
  source = cleanup.use(await startDockerRegistry());
  destination = cleanup.use(await startDockerRegistry());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  repository = `test/r${++count}`;
});

const push = (tag: string, content = tag) =>
  pushImage(source.url, repository, tag, {layers: [Buffer.from(content)]});

function move(...flags: readonly string[]) {
  const places = [`${source.host}/${repository}`, `${destination.host}/${repository}`];
  return transship(['copy', ...places, '--delete-source', '--yes', ...flags]);
}

async function tagsLeft(): Promise<readonly string[]> {
  const answer = await fetch(`${source.url}/v2/${repository}/tags/list`);
  const {tags} = (await answer.json()) as {tags: string[] | null};
  return (tags ?? []).toSorted();
}

const isThere = async (reference: string) =>
  (
    await fetch(`${source.url}/v2/${repository}/manifests/${reference}`, {
      headers: {accept: `${OCI_INDEX_TYPE}, application/vnd.oci.image.manifest.v1+json`},
    })
  ).status === 200;

describe('a registry that deletes by digest only', () => {
  test('loses every tag of a moved repository', async () => {
    await push('a');
    await push('b');
    await push('b2', 'b');
    const run = await move('--format', 'json');
    expect(run.code).toBe(0);
    const {steps} = JSON.parse(run.stdout) as RunResult;
    expect(steps.map(({outcome}) => outcome)).toEqual(Array(6).fill('done'));
    expect(await tagsLeft()).toEqual([]);
    // Nothing is left to do, and a repository without tags is no error.
    expect((await move('--allow-empty')).code).toBe(0);
  });

  test('keeps a tag that shares its digest with one that stays, and the plan names both', async () => {
    await push('v1', 'same');
    await push('latest', 'same');
    await push('v2');
    const run = await move('--tag', 'v*');
    expect(run.code).toBe(0);
    expect(run.stderr).toContain(
      `${repository} keeps v1: latest stays and has the same digest, and this registry deletes by digest only`,
    );
    expect(await tagsLeft()).toEqual(['latest', 'v1']);
  });

  test('keeps a manifest that an index which stays lists', async () => {
    const amd = await push('amd');
    const arm = await push('arm');
    await pushIndex(source.url, repository, 'all', [amd, arm]);
    const run = await move('--exclude-tag', 'all');
    expect(run.code).toBe(0);
    expect(run.stderr).toContain('keeps amd, arm: the index all stays and lists it');
    expect(await tagsLeft()).toEqual(['all', 'amd', 'arm']);
  });

  test('loses an index before what it lists', async () => {
    const amd = await push('amd');
    const arm = await push('arm');
    const digest = await pushIndex(source.url, repository, 'all', [amd, arm]);
    await source.forgetRequests();
    expect((await move()).code).toBe(0);
    const deleted = (await source.requests())
      .filter(({method, status}) => method === 'DELETE' && status === 202)
      .map(({path}) => path.split('/').at(-1));
    expect(deleted).toEqual([digest, ...deleted.slice(1)]);
    expect(new Set(deleted.slice(1))).toEqual(new Set([amd.digest, arm.digest]));
    expect(await tagsLeft()).toEqual([]);
  });

  test('keeps what got another tag after planning', async () => {
    await using temp = await tempDirectory();
    const file = temp.join('move.plan.json');
    const {digest, bytes} = await push('a');
    await push('b');
    const places = [`${source.host}/${repository}`, `${destination.host}/${repository}`];
    expect(
      (await transship(['plan', 'copy', ...places, '--delete-source', '--out', file])).code,
    ).toBe(0);
    await put(
      `${source.url}/v2/${repository}/manifests/new`,
      'application/vnd.oci.image.manifest.v1+json',
      bytes,
    );
    const run = await transship(['apply', file, '--yes', '--format', 'json']);
    expect(run.code).toBe(4);
    expect((JSON.parse(run.stdout) as RunResult).drift).toMatchObject([
      {side: 'source', tag: 'new', planned: null, actual: digest},
    ]);
    expect(await tagsLeft()).toEqual(['a', 'new']);
    expect(await isThere(digest)).toBe(true);
  });

  test('that has deletion disabled forbids the plan', async () => {
    await using fixed = await startDockerRegistry({
      env: {REGISTRY_STORAGE_DELETE_ENABLED: 'false'},
    });
    await pushImage(fixed.url, repository, 'a');
    const run = await transship([
      'plan',
      'copy',
      `${fixed.host}/${repository}`,
      `${destination.host}/${repository}`,
      '--delete-source',
    ]);
    expect(run.code).toBe(3);
    expect(run.stdout).toContain(`nothing can be deleted in ${fixed.host}/${repository}`);
  });
});
