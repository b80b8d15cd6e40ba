import {mkdir, readdir, readFile, rename, rm, writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {CopyPlan} from '../../src/model/plan.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {pushLayout, verifyLayout} from '../support/independent.ts';
import {pushImage, sha256} from '../support/push-image.ts';
import {runCli} from '../support/cli.ts';
import {toldError} from '../support/error-lines.ts';
import {skopeo} from '../support/skopeo.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let source: Sandbox;
let destination: Sandbox;
let temp: TempDirectory;
let file: string;
let archive: string;
/** Called when a blob is read at the source. */
let onBlob = (): void => undefined;

beforeAll(async () => {
  source = cleanup.use(
    await startSandbox({
      intercept: async (exchange, next) => {
        if (exchange.method === 'GET' && exchange.path.includes('/blobs/')) onBlob();
        return await next();
      },
    }),
  );
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

/** A slow machine says how far it is. */
const PROGRESS = /^\d+ of \d+ images, .*\n/gm;

async function planned(name: string, ...args: readonly string[]): Promise<string> {
  const out = temp.join(name);
  const run = await transship(['plan', file, ...args, '--out', out]);
  expect(run).toMatchObject({code: 0});
  return out;
}

async function exported(...args: readonly string[]): Promise<void> {
  const plan = await planned('export.plan.json', '--to', archive, ...args);
  const run = await transship(['apply', plan]);
  expect(run.stderr.replaceAll(PROGRESS, '')).toBe('');
  expect(run).toMatchObject({code: 0});
  expect(await transship(['verify', plan])).toMatchObject({code: 0});
}

/** On the other side nothing of this machine is known. */
async function imported(...args: readonly string[]): Promise<void> {
  const plan = await planned('import.plan.json', '--from', archive, ...args);
  const run = await transship(['apply', plan, ...args]);
  expect(run.stderr.replaceAll(PROGRESS, '')).toBe('');
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

  test('keeps the full names, by which skopeo finds the images', async () => {
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

/** The parts by the list of checksums, which this reads as `sha256sum` does. */
async function listedParts(): Promise<ReadonlyMap<string, string>> {
  const lines = (await readFile(temp.join('out.tar.sha256'), 'utf8')).trimEnd().split('\n');
  const sums = lines.filter((line) => !line.startsWith('#'));
  return new Map(sums.map((line) => [line.slice(66), line.slice(0, 64)]));
}

describe('an archive in parts', () => {
  const split = ['--archive-size', '64KiB'];
  const kept = new Map<string, Buffer>();

  /** The same parts for each test, each of which does something else to them. */
  beforeEach(async () => {
    for (const [name, bytes] of kept) await writeFile(temp.join(name), bytes);
    if (kept.size > 0) return;
    const plan = await planned('export.plan.json', '--to', archive, ...split);
    await transship(['apply', plan]);
    for (const name of (await readdir(temp.path)).filter((one) => one.startsWith('out.tar.')))
      kept.set(name, await readFile(temp.join(name)));
  });

  test('has numbered parts with checksums, which are one archive together', async () => {
    const parts = await listedParts();
    expect([...parts.keys()].slice(0, 2)).toEqual(['out.tar.001', 'out.tar.002']);
    const pieces: Buffer[] = [];
    for (const [name, sum] of parts) {
      const bytes = await readFile(temp.join(name));
      expect(bytes.byteLength).toBeLessThanOrEqual(64 * 1024);
      expect(sha256(bytes)).toBe(`sha256:${sum}`);
      pieces.push(bytes);
    }
    expect((await readdir(temp.path)).filter((name) => name.includes('out.tar')).sort()).toEqual(
      [...parts.keys(), 'out.tar.sha256'].sort(),
    );
    await writeFile(temp.join('joined.tar'), Buffer.concat(pieces));
    const from = `oci-archive:${temp.join('joined.tar')}:${source.host}/team/busybox:1.35`;
    const {stdout} = await skopeo(['inspect', '--raw', from]);
    expect(sha256(stdout)).toBe((await readCorpus()).busybox.tags['1.35']?.digest);
  });

  test('is read as one', async () => {
    await imported();
    expect(await problems('signed', 'mirror/team/signed')).toEqual([]);
    expect(await problems('referrers', 'mirror/second/referrers')).toEqual([]);
  });

  test('names every part that is missing or was changed, and what it holds', async () => {
    await rm(temp.join('out.tar.002'));
    await writeFile(temp.join('out.tar.003'), 'cut');
    const told = toldError(await transship(['plan', file, '--from', archive]));
    expect(told).toMatchObject({code: 'FILE_INVALID', exit: 64});
    expect(told.message).toContain('out.tar.002 is missing, which contains a part of');
    expect(told.message).toContain('out.tar.003 has 3 bytes instead of 65536');
    expect(told.message).toMatch(/team\/\w+:/);
  });

  test.each([
    ['in its content', 40_000],
    ['in its first bytes', 3],
  ])('names a part that was changed %s', async (_where, at) => {
    const bytes = await readFile(temp.join('out.tar.001'));
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(temp.join('out.tar.001'), bytes);
    const told = toldError(await transship(['plan', file, '--from', archive]));
    expect(told).toMatchObject({code: 'FILE_INVALID', exit: 64});
    expect(told.message).toContain('out.tar.001 was changed');
  });

  test('finds parts in other directories that are named', async () => {
    const stick = temp.join('stick');
    await mkdir(stick);
    await rename(temp.join('out.tar.002'), `${stick}/out.tar.002`);
    const told = toldError(await transship(['plan', file, '--from', archive]));
    expect(told.message).toContain('out.tar.002 is missing');
    expect(told.hint).toContain('--archive-parts');
    await imported('--archive-parts', stick);
    expect(await problems('signed', 'mirror/team/signed')).toEqual([]);
  });

  test('without its list is reported', async () => {
    await rm(temp.join('out.tar.sha256'));
    const told = toldError(await transship(['plan', file, '--from', archive]));
    expect(told).toMatchObject({code: 'FILE_INVALID', exit: 64});
    expect(told.message).toContain('out.tar.sha256, which lists the parts');
  });

  test('gets more images, in parts of the same size', async () => {
    const from = `oci:${layoutDirectory('busybox')}:1.35-amd64`;
    const more = `${archive}::registry.example.com/more/busybox:one`;
    expect(await transship(['copy', from, more])).toMatchObject({code: 0});
    for (const name of (await listedParts()).keys())
      expect((await readFile(temp.join(name))).byteLength).toBeLessThanOrEqual(64 * 1024);
    const to = `${destination.host}/more`;
    expect(await transship(['copy', more, to])).toMatchObject({code: 0});
    await imported();
  });

  test('resumes after a kill', async () => {
    for (const name of kept.keys()) await rm(temp.join(name));
    const plan = await planned('export.plan.json', '--to', archive, ...split);
    let asked = 0;
    const killed = await runCli(['apply', plan, '--jobs', '1'], {
      onStart: ({kill}) => {
        onBlob = () => {
          asked += 1;
          if (asked === 8) kill('SIGKILL');
        };
      },
    });
    expect(killed.code).toBe(137);
    const before = asked;
    expect(await readdir(temp.path)).toContain('out.tar.layout');
    expect(await readdir(temp.path)).not.toContain('out.tar.sha256');
    asked = 0;
    expect(await transship(['apply', plan])).toMatchObject({code: 0});
    const all = new Set(
      (
        JSON.parse((await transship(['show', plan, '--format', 'json'])).stdout) as CopyPlan
      ).blobs.map(({digest}) => digest),
    );
    expect(before).toBeGreaterThanOrEqual(8);
    expect(asked).toBeLessThan(all.size);
    onBlob = () => undefined;
    await imported();
    expect(await problems('signed', 'mirror/team/signed')).toEqual([]);
  });
});

describe('an archive of what changed', () => {
  test('has new and changed images only, and is enough beside the first', async () => {
    const first = await planned('week1.plan.json', '--to', archive);
    expect(await transship(['apply', first])).toMatchObject({code: 0});
    await imported();
    await pushImage(source.url, 'team/fresh', 'v2', {layers: [Buffer.from('fresh')]});
    await pushImage(source.url, 'team/signed', 'extra', {layers: [Buffer.from('extra')]});

    archive = `oci-archive:${temp.join('week2.tar')}`;
    const args = ['--to', archive, '--since', first, '--format', 'json'];
    const out = temp.join('week2.plan.json');
    const run = await transship(['plan', file, ...args, '--out', out]);
    expect(run).toMatchObject({code: 0});
    const {steps, skipped} = JSON.parse(run.stdout) as CopyPlan;
    expect(steps.map((step) => ('tag' in step ? step.tag : '')).sort()).toEqual(['extra', 'v2']);
    expect(new Set(skipped.map(({reason}) => reason))).toContain('earlier');
    expect(await transship(['apply', out])).toMatchObject({code: 0});
    await imported();
    expect(await tagsOf('mirror/team/fresh')).toEqual(['v2']);
    expect(await tagsOf('mirror/second/signed')).toContain('extra');

    // Of the third week nothing is left, though the second archive has only a part.
    const third = ['--to', `oci-archive:${temp.join('week3.tar')}`, '--since', out];
    const none = await transship(['plan', file, ...third, '--detailed-exitcode']);
    expect(none).toMatchObject({code: 0});
    expect(none.stdout).toContain('nothing to do');
  });
});
