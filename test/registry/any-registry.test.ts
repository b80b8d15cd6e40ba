import {readFile} from 'node:fs/promises';
import {afterAll, beforeAll, beforeEach, expect, test} from 'vitest';
import type {Finding} from '../../src/doctor/examination.ts';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {layoutDirectory, type LayoutName} from '../support/fixtures.ts';
import {LayoutFiles, tagOf} from '../support/layout-files.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {freshRepository, TEST_REGISTRY, userEnvironment} from '../support/test-registry.ts';
import {transship, type TransshipOptions} from '../support/transship.ts';

/*
 * What the program does with any registry, as a user does it: with docker-registry, or with the registry that
 * TRANSSHIP_TEST_REGISTRY names (CONTRIBUTING.md). What a registry does to content is compared with the files that were
 * sent.
 */

let own: DockerRegistry | undefined;
let options: TransshipOptions = {};
let temp: TempDirectory;
let repository = '';
const used: string[] = [];

beforeAll(async () => {
  temp = await tempDirectory();
  if (TEST_REGISTRY === undefined) own = await startDockerRegistry();
  else options = userEnvironment();
});
afterAll(async () => {
  for (const name of used) {
    const plan = temp.join(`${used.indexOf(name)}.plan.json`);
    await transship(['plan', 'delete', name, '--tag', '**', '--out', plan], options);
    await transship(['apply', plan, '--yes', '--no-undo'], options);
  }
  await own?.[Symbol.asyncDispose]();
  await temp[Symbol.asyncDispose]();
});
beforeEach(() => {
  repository = freshRepository(TEST_REGISTRY ?? `${own?.host ?? ''}/team`);
  used.push(repository);
});

async function run(...args: readonly string[]) {
  const result = await transship(args, options);
  if (result.code !== 0) throw new Error(`${args.join(' ')}: ${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** The tags of a layout with their digests, and every file below them. */
async function contentOf(directory: string) {
  const layout = await LayoutFiles.open(directory);
  const tagged = layout.entries.filter((entry) => tagOf(entry) !== undefined);
  const digests = new Set<string>();
  for (const entry of tagged) {
    for (const {digest, blobs} of await layout.walk(entry))
      for (const one of [digest, ...blobs]) digests.add(one);
  }
  const files = [...digests].map(async (digest) => {
    const bytes = await layout.read(digest);
    return [digest, bytes?.toString('base64')] as const;
  });
  return {
    tags: new Map(tagged.map((entry) => [tagOf(entry), entry.digest])),
    files: new Map(await Promise.all(files)),
  };
}

/** One of each kind: an index, Docker's types, a chart, a signature, attestations, zstd. */
const COPIED = ['attested', 'busybox', 'busybox-docker', 'helm', 'signed', 'zstd'] as const;

test.each<LayoutName>(COPIED)('copies %s there and back, byte for byte', async (name) => {
  const [from, to] = [layoutDirectory(name), temp.join(`back-${name}`)];
  await run('copy', `oci:${from}`, repository);
  await run('copy', repository, `oci:${to}`);
  const [sent, came] = [await contentOf(from), await contentOf(to)];
  expect(sent.files.size).toBeGreaterThan(2);
  // Fallback tags of referrers may be added where the registry does not list them.
  expect([...came.tags]).toEqual(expect.arrayContaining([...sent.tags]));
  expect([...came.files]).toEqual(expect.arrayContaining([...sent.files]));
});

test('mounts or copies from one of its repositories into another, and verifies', async () => {
  const layout = `oci:${layoutDirectory('busybox')}`;
  await run('copy', layout, repository);
  const other = freshRepository(TEST_REGISTRY ?? `${own?.host ?? ''}/team`);
  used.push(other);
  const plan = temp.join('other.plan.json');
  await run('plan', 'copy', repository, other, '--out', plan);
  await run('apply', plan);
  await run('verify', plan, '--read');
  const done = JSON.parse(await run('apply', plan, '--format', 'json')) as {
    readonly blobs: {readonly copied: number};
  };
  expect(done.blobs.copied).toBe(0);
});

test('sends a blob in chunks', async () => {
  const layout = layoutDirectory('busybox');
  const digestfile = temp.join('digest');
  const flags = ['--chunk-size', '256KiB', '--digestfile', digestfile];
  await run('copy', `oci:${layout}:latest`, `${repository}:chunks`, ...flags);
  const {tags} = await contentOf(layout);
  expect((await readFile(digestfile, 'utf8')).trim()).toBe(tags.get('latest'));
});

test('deletes tags by a plan, and keeps the others', async () => {
  await run('copy', `oci:${layoutDirectory('busybox')}:latest`, `${repository}:keep`);
  await run('copy', `oci:${layoutDirectory('helm')}`, repository);
  const plan = temp.join('delete.plan.json');
  await run('plan', 'delete', repository, '--exclude-tag', 'keep', '--tag', '**', '--out', plan);
  await run('apply', plan, '--yes', '--no-undo');
  const {repositories} = JSON.parse(await run('inventory', repository, '--format', 'json')) as {
    readonly repositories: readonly {readonly tags: number}[];
  };
  expect(repositories.map(({tags}) => tags)).toEqual([1]);
  await run('copy', `${repository}:keep`, `oci:${temp.join('kept')}:keep`);
});

const repositoriesOf = (text: string) =>
  (JSON.parse(text) as {readonly repositories: unknown}).repositories;

test('doctor finds nothing that fails, and leaves nothing behind', async () => {
  await run('copy', `oci:${layoutDirectory('helm')}`, repository);
  const before = await run('inventory', repository, '--format', 'json');
  const flags = ['--write', '--max-body', '1MiB', '--format', 'json'];
  const {findings} = JSON.parse(await run('doctor', repository, ...flags)) as {
    readonly findings: readonly Finding[];
  };
  expect(findings.filter(({result}) => result === 'fail')).toEqual([]);
  expect(findings.map(({check}) => check)).toEqual(
    expect.arrayContaining(['upload', 'manifests', 'mount']),
  );
  const after = await run('inventory', repository, '--format', 'json');
  expect(repositoriesOf(after)).toEqual(repositoriesOf(before));
});
