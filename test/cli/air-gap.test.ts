import {readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {CopyPlan} from '../../src/model/plan.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {pushLayout, verifyLayout} from '../support/independent.ts';
import {pushImage, sha256} from '../support/push-image.ts';
import {skopeo} from '../support/skopeo.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let source: Sandbox;
let destination: Sandbox;
let temp: TempDirectory;
let file: string;
let archive: string;

beforeAll(async () => {
  source = cleanup.use(await startSandbox());
  for (const name of ['busybox', 'signed', 'referrers'] as const)
    await pushLayout(layoutDirectory(name), source.url, `team/${name}`);
});
afterAll(() => cleanup.disposeAsync());
beforeEach(async () => {
  await using parts = new AsyncDisposableStack();
  temp = parts.use(await tempDirectory());
  destination = parts.use(await startSandbox());
  file = temp.join('acme.yaml');
  archive = `oci-archive:${temp.join('out.tar')}`;
  await writeFile(
    file,
    JSON.stringify({
      version: 1,
      from: source.host,
      to: `${destination.host}/mirror`,
      routes: [
        {
          from: 'team/busybox',
          to: 'Base/{name}',
          tags: {include: ['1.35'], rename: {'1(.*)': 'v1$1'}},
        },
        {from: 'team/*', exclude: 'team/busybox', to: ['{path}', 'second/{name}']},
      ],
      deleteSource: 'afterVerify',
    }),
  );
  cleanup.use(parts.move());
});

async function planned(name: string, ...args: readonly string[]): Promise<string> {
  const out = temp.join(name);
  const run = await transship(['plan', file, ...args, '--out', out]);
  expect(run).toMatchObject({code: 0});
  return out;
}

async function exported(...args: readonly string[]): Promise<void> {
  const plan = await planned('export.plan.json', '--to', archive, ...args);
  const run = await transship(['apply', plan]);
  expect(run.stderr).toBe('');
  expect(run).toMatchObject({code: 0});
  expect(await transship(['verify', plan])).toMatchObject({code: 0});
}

/** On the other side nothing of this machine is known. */
async function imported(...args: readonly string[]): Promise<void> {
  const plan = await planned('import.plan.json', '--from', archive, ...args);
  const run = await transship(['apply', plan, ...args]);
  expect(run.stderr).toBe('');
  expect(run).toMatchObject({code: 0});
}

async function problems(name: 'signed' | 'referrers' | 'busybox', repository: string) {
  const tags = name === 'busybox' ? {tags: []} : {};
  const report = await verifyLayout(layoutDirectory(name), destination.url, repository, tags);
  return report.problems;
}

async function tagsOf(repository: string): Promise<readonly string[]> {
  const {manifests} = destination.storage;
  return [...(await manifests.tags(repository as RepositoryPath))].sort();
}

describe('a migration through an archive', () => {
  test('brings every image to where its file says, with all that belongs to it', async () => {
    await exported();
    await imported();
    expect(await tagsOf('mirror/base/busybox')).toEqual(['v1.35']);
    for (const repository of ['mirror/team/signed', 'mirror/second/signed'])
      expect(await problems('signed', repository)).toEqual([]);
    expect(await problems('referrers', 'mirror/team/referrers')).toEqual([]);
    // Nothing is deleted at the source, which the archive only left.
    expect(await source.storage.manifests.tags('team/busybox' as RepositoryPath)).not.toEqual([]);
  });

  test('keeps the whole names, by which skopeo finds the images', async () => {
    await exported();
    const from = `${archive}:${source.host}/team/busybox:1.35`;
    const {stdout} = await skopeo(['inspect', '--raw', from]);
    const {digest} = (await readCorpus()).busybox.tags['1.35'] ?? {};
    expect(sha256(stdout)).toBe(digest);
  });

  test('reads each blob once, whichever repositories have it', async () => {
    await pushLayout(layoutDirectory('busybox'), source.url, 'team/again');
    await exported();
    const plan = await transship(['show', temp.join('export.plan.json'), '--format', 'json']);
    const {blobs} = JSON.parse(plan.stdout) as CopyPlan;
    const copied = blobs.filter(({action}) => action === 'copy').map(({digest}) => digest);
    expect(new Set(copied).size).toBe(copied.length);
    expect(blobs.filter(({action}) => action === 'mount').length).toBeGreaterThan(0);
  });

  test('one repository of it is copied by its name', async () => {
    await exported();
    const from = `${archive}::${source.host}/team/signed`;
    expect(await transship(['copy', from, `${destination.host}/one`])).toMatchObject({code: 0});
    expect(await problems('signed', 'one')).toEqual([]);
  });
});
