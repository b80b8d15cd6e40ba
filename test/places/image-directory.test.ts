import {createHash} from 'node:crypto';
import {cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect, test} from 'vitest';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {LayoutFiles, tagOf} from '../support/layout-files.ts';
import {runProgram} from '../support/program.ts';
import {skopeo} from '../support/skopeo.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const corpus = await readCorpus();
const BUSYBOX = `oci:${layoutDirectory('busybox')}`;
const SIGNED = `oci:${layoutDirectory('signed')}`;

/** What is in a directory, by name; the scratch directory is left out. */
async function contentOf(directory: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const name of (await readdir(directory)).sort())
    if (name !== '.transship') found.set(name, digestOf(await readFile(join(directory, name))));
  return found;
}

async function entriesOf(layout: string): Promise<readonly string[]> {
  return (await LayoutFiles.open(layout)).entries.map(({digest}) => digest).sort();
}

async function blobIn(directory: string): Promise<string> {
  const name = (await readdir(directory)).find((each) => /^[a-f0-9]{64}$/.test(each));
  return join(directory, name ?? '');
}

/** A directory as skopeo writes it. */
async function givenDirectory(temp: TempDirectory): Promise<string> {
  await skopeo(['copy', '--all', `${BUSYBOX}:1.35`, `dir:${temp.join('d')}`]);
  return temp.join('d');
}

function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

async function copied(from: string, to: string): Promise<void> {
  expect(await transship(['copy', from, to])).toMatchObject({code: 0});
}

async function rawDigest(place: string): Promise<string> {
  return digestOf((await skopeo(['inspect', '--raw', place])).stdout);
}

/** Images of every kind, whose blobs are all there. */
const IMAGES = [
  ['busybox', '1.35'],
  ['busybox-docker', '1.35'],
  ['busybox', '1.35-amd64'],
  ['attested', '1.0'],
  ['attested-buildkit', 'max'],
  ['helm', '0.1.0'],
  ['odd', 'whitespace'],
  ['zstd', 'mixed'],
] as const;

test.each(IMAGES)('skopeo reads and writes the image %s:%s as we do', async (layout, tag) => {
  await using temp = await tempDirectory();
  await copied(`oci:${layoutDirectory(layout)}:${tag}`, `dir:${temp.join('ours')}`);
  const theirs = await skopeo([
    'copy',
    '--all',
    '--preserve-digests',
    `dir:${temp.join('ours')}`,
    `dir:${temp.join('theirs')}`,
  ]);
  expect(theirs).toMatchObject({code: 0});
  // What belongs to the image is beside it, where skopeo does not look.
  const ours = await contentOf(temp.join('ours'));
  for (const [name, digest] of await contentOf(temp.join('theirs')))
    expect([name, ours.get(name)]).toEqual([name, digest]);

  await copied(`dir:${temp.join('theirs')}`, `oci:${temp.join('out')}:x`);
  const out = await LayoutFiles.open(temp.join('out'));
  const entry = out.entries.find((one) => tagOf(one) === 'x');
  expect(entry?.digest).toBe(corpus[layout].tags[tag]?.digest);
  const source = await LayoutFiles.open(layoutDirectory(layout));
  expect(entry && (await out.walk(entry))).toEqual(entry && (await source.walk(entry)));
});

test('signatures and referrers are copied into a directory and back', async () => {
  await using temp = await tempDirectory();
  for (const layout of ['signed', 'referrers'] as const) {
    const [directory, out] = [temp.join(layout), temp.join(`${layout}-out`)];
    await copied(`oci:${layoutDirectory(layout)}:1.0`, `oci:${temp.join(`${layout}-direct`)}`);
    await copied(`oci:${layoutDirectory(layout)}:1.0`, `dir:${directory}`);
    await copied(`dir:${directory}`, `oci:${out}`);
    expect(await entriesOf(out)).toEqual(await entriesOf(temp.join(`${layout}-direct`)));
  }
});

test('the plan names only a directory; the second time, there is nothing to do', async () => {
  await using temp = await tempDirectory();
  const to = `dir:${temp.join('d')}`;
  const plan = temp.join('p.json');
  await transship(['plan', 'copy', `${BUSYBOX}:1.35`, to, '--out', plan]);
  expect((await transship(['show', plan])).stdout).toContain(`+ ${to}  sha256:`);
  expect(await transship(['apply', plan])).toMatchObject({code: 0});
  expect(await transship(['verify', plan])).toMatchObject({code: 0});
  const again = await transship(['copy', `${BUSYBOX}:1.35`, to]);
  expect(again.stdout).toContain('0 images copied');
  expect(again.stdout).toContain('1 already there');
});

describe('where an image is there already', () => {
  test('a part of the new one stays', async () => {
    await using temp = await tempDirectory();
    const to = temp.join('d');
    await copied(`${BUSYBOX}:1.35-amd64`, `dir:${to}`);
    await copied(`${BUSYBOX}:1.35`, `dir:${to}`);
    await copied(`dir:${to}`, `oci:${temp.join('out')}:x`);
    const back = ['copy', '--all', `dir:${to}`, `oci:${temp.join('theirs')}:x`];
    expect(await skopeo(back)).toMatchObject({code: 0});
  });

  test("it is not replaced below skopeo's signatures of it", async () => {
    await using temp = await tempDirectory();
    const to = temp.join('d');
    await copied(`${BUSYBOX}:1.35-amd64`, `dir:${to}`);
    await writeFile(join(to, 'signature-1'), 'sigstore');
    await copied(`${BUSYBOX}:1.35-amd64`, `dir:${to}`);
    const before = await contentOf(to);
    const told = await transship(['copy', `${BUSYBOX}:1.35`, `dir:${to}`]);
    expect(told.code).toBe(1);
    expect(told.stdout).toContain('DESTINATION_CONFLICT');
    expect((await contentOf(to)).get('manifest.json')).toBe(before.get('manifest.json'));
  });

  test("skopeo's signatures are named as left out", async () => {
    await using temp = await tempDirectory();
    const from = temp.join('d');
    await copied(`${BUSYBOX}:1.35-amd64`, `dir:${from}`);
    await writeFile(join(from, 'signature-1'), 'sigstore');
    const planned = await transship(['plan', 'copy', `dir:${from}`, `oci:${temp.join('out')}`]);
    expect(planned).toMatchObject({code: 0});
    expect(planned.stdout).toContain(`dir:${from} contains signature-1`);
    await copied(`dir:${from}`, `oci:${temp.join('out')}`);
  });

  test('a file of the wrong size is written again', async () => {
    await using temp = await tempDirectory();
    const to = temp.join('d');
    await copied(`${BUSYBOX}:1.35`, `dir:${to}`);
    const before = await contentOf(to);
    const [blob = ''] = [...before.keys()].filter((name) => /^[a-f0-9]{64}$/.test(name));
    await writeFile(join(to, blob), 'cut');
    await copied(`${BUSYBOX}:1.35`, `dir:${to}`);
    expect(await contentOf(to)).toEqual(before);
  });
});

describe('a directory is not written to that', () => {
  test.each([
    [
      'has other files',
      async (directory: string) => await writeFile(join(directory, 'notes'), 'mine'),
    ],
    [
      'has a version of something else',
      async (directory: string) => await writeFile(join(directory, 'version'), '2.0\n'),
    ],
    [
      'is an image layout',
      async (directory: string) => await cp(layoutDirectory('helm'), directory, {recursive: true}),
    ],
  ])('%s', async (_what, fill) => {
    await using temp = await tempDirectory();
    await mkdir(temp.join('d'));
    await fill(temp.join('d'));
    const before = (await readdir(temp.join('d'))).sort();
    const told = toldError(await transship(['copy', `${BUSYBOX}:1.35`, `dir:${temp.join('d')}`]));
    expect(told).toMatchObject({code: 'DESTINATION_CONFLICT', exit: 3, side: 'this machine'});
    expect((await readdir(temp.join('d'))).sort()).toEqual(before);
  });

  test('is a file', async () => {
    await using temp = await tempDirectory();
    await writeFile(temp.join('d'), '');
    const told = toldError(await transship(['copy', `${BUSYBOX}:1.35`, `dir:${temp.join('d')}`]));
    expect(told).toMatchObject({code: 'DESTINATION_CONFLICT', exit: 3});
  });
});

describe('a directory', () => {
  test('takes one image', async () => {
    await using temp = await tempDirectory();
    const to = `dir:${temp.join('d')}`;
    const all = toldError(await transship(['copy', 'localhost:1/app', to]));
    expect(all).toMatchObject({code: 'USAGE', exit: 64});
    expect(all.message).toContain('holds one image');
    const several = toldError(await transship(['copy', BUSYBOX, to]));
    expect(several).toMatchObject({code: 'REFERENCE_INVALID', exit: 64});
    expect(await readdir(temp.path)).toEqual([]);
  });

  test('takes the one image of a layout with its signatures', async () => {
    await using temp = await tempDirectory();
    await copied(SIGNED, `dir:${temp.join('d')}`);
    const names = await readdir(temp.join('d'));
    expect(names.filter((name) => name.endsWith('.sig.manifest.json'))).toHaveLength(2);
  });

  test('that was not written to its end contains no image', async () => {
    await using temp = await tempDirectory();
    await skopeo(['copy', '--all', `${BUSYBOX}:1.35`, `dir:${temp.join('d')}`]);
    await rm(temp.join('d', 'manifest.json'));
    for (const directory of [temp.join('d'), temp.join('none')]) {
      const told = toldError(
        await transship(['copy', `dir:${directory}`, `oci:${temp.join('o')}`]),
      );
      expect(told).toMatchObject({
        code: 'TAG_NOT_FOUND',
        exit: 1,
        message: `dir:${directory} contains no image`,
      });
    }
    await copied(`${BUSYBOX}:1.35`, `dir:${temp.join('d')}`);
    expect(await rawDigest(`dir:${temp.join('d')}`)).toBe(corpus.busybox.tags['1.35']?.digest);
  });

  test('of an unknown version is not read', async () => {
    await using temp = await tempDirectory();
    await copied(`${BUSYBOX}:1.35`, `dir:${temp.join('d')}`);
    await writeFile(temp.join('d', 'version'), 'Directory Transport Version: 9.0\n');
    const told = toldError(await transship(['copy', `dir:${temp.join('d')}`, 'oci:x']));
    expect(told).toMatchObject({code: 'FILE_INVALID', exit: 64});
  });

  test('may name content by sha512 as version 1.2 does, or as 1.1', async () => {
    await using temp = await tempDirectory();
    await copied(`oci:${layoutDirectory('odd')}:sha512`, `dir:${temp.join('d')}`);
    const long = (await readdir(temp.join('d'))).filter((name) => name.length === 128);
    expect(long.length).toBeGreaterThan(0);
    await copied(`dir:${temp.join('d')}`, `oci:${temp.join('one')}`);
    for (const name of long) await rename(temp.join('d', name), temp.join('d', `sha512-${name}`));
    await writeFile(temp.join('d', 'version'), 'Directory Transport Version: 1.2\n');
    await copied(`dir:${temp.join('d')}`, `oci:${temp.join('two')}`);
  });
});

describe('of an untrusted directory', () => {
  test.each([
    ['a manifest', /^manifest\.json$/],
    ['an image of the index', /^[a-f0-9]{64}\.manifest\.json$/],
    ['a blob', /^[a-f0-9]{64}$/],
    ['the version', /^version$/],
  ])('a link that leads out of it is not followed: %s', async (_what, pattern) => {
    await using temp = await tempDirectory();
    const directory = await givenDirectory(temp);
    const name = (await readdir(directory)).find((each) => pattern.test(each)) ?? '';
    await rename(join(directory, name), temp.join('secret'));
    await symlink(temp.join('secret'), join(directory, name));
    const result = await transship(['copy', `dir:${directory}`, `oci:${temp.join('out')}`]);
    expect(result.code).not.toBe(0);
    expect(result.stdout + result.stderr).toContain('is a link to a file outside of');
    const back = await transship(['copy', `${BUSYBOX}:1.35`, `dir:${directory}`]);
    expect(back.code).not.toBe(0);
    expect(digestOf(await readFile(temp.join('secret')))).not.toBe(digestOf(''));
  });

  test.each([
    ['a manifest that is none', 'manifest.json', 'not json', 'MANIFEST_INVALID'],
    ['a manifest without end', 'manifest.json', ' '.repeat(5 * 1024 * 1024), 'MANIFEST_TOO_LARGE'],
  ])('%s is reported', async (_what, name, text, code) => {
    await using temp = await tempDirectory();
    const directory = await givenDirectory(temp);
    await writeFile(join(directory, name), text);
    const told = toldError(
      await transship(['copy', `dir:${directory}`, `oci:${temp.join('out')}`]),
    );
    expect(told.code).toBe(code);
  });

  test('a changed blob is not passed on', async () => {
    await using temp = await tempDirectory();
    const directory = await givenDirectory(temp);
    const blob = await blobIn(directory);
    const bytes = await readFile(blob);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    await writeFile(blob, bytes);
    const result = await transship(['copy', `dir:${directory}`, `oci:${temp.join('out')}`]);
    expect(result.code).toBe(1);
    expect(result.stdout).toContain('BLOB_DIGEST_MISMATCH');
    const {entries} = await LayoutFiles.open(temp.join('out'));
    expect(entries.map(tagOf).filter((name) => name !== undefined)).toEqual([]);
  });

  test('verify finds a changed blob', async () => {
    await using temp = await tempDirectory();
    const plan = temp.join('p.json');
    await transship(['plan', 'copy', `${BUSYBOX}:1.35`, `dir:${temp.join('v')}`, '--out', plan]);
    await transship(['apply', plan]);
    const blob = await blobIn(temp.join('v'));
    const bytes = await readFile(blob);
    bytes[0] = (bytes[0] ?? 0) ^ 1;
    await writeFile(blob, bytes);
    expect(await transship(['verify', plan])).toMatchObject({code: 2});
  });
});

const SOURCES = new URL('../../src/', import.meta.url).href;

/** Replaces the image of a directory without end, each with a blob of its own, and kills itself after so many. */
const WRITER = `
  const {ImageDirectory} = await import('${SOURCES}places/image-directory.ts');
  const {parseManifest} = await import('${SOURCES}model/manifest.ts');
  const {digestOf} = await import('${SOURCES}model/digest.ts');
  const [path, enough] = process.argv.slice(1);
  const call = {signal: new AbortController().signal};
  const directory = new ImageDirectory(path, 'destination');
  for (let number = 1; ; number += 1) {
    const bytes = Buffer.from('{"number":' + number + '}');
    const config = {mediaType: 'text/plain', digest: digestOf(bytes), size: bytes.byteLength};
    await directory.putBlob(config, () => Promise.resolve(bytes), call);
    if (number === Number(enough)) setImmediate(() => process.kill(process.pid, 'SIGKILL'));
    const text = JSON.stringify({schemaVersion: 2, config, layers: []});
    await directory.putManifest('latest', parseManifest(Buffer.from(text), '', undefined, 'local'), call);
  }`;

test.each([1, 2, 3, 5, 8])(
  'a writer killed at image %i leaves a complete one, or none',
  async (enough) => {
    await using temp = await tempDirectory();
    const args = ['--input-type=module', '-e', WRITER, temp.join('d'), String(enough)];
    expect(await runProgram(process.execPath, args)).toMatchObject({code: 137, stderr: ''});
    const names = await readdir(temp.join('d'));
    expect(names).toContain('version');
    const isThere = names.includes('manifest.json');
    expect(isThere || enough === 1).toBe(true);
    const result = await transship(['copy', `dir:${temp.join('d')}`, `oci:${temp.join('out')}`]);
    expect(result.code).toBe(isThere ? 0 : 1);
    await copied(`${BUSYBOX}:1.35`, `dir:${temp.join('d')}`);
    expect(await rawDigest(`dir:${temp.join('d')}`)).toBe(corpus.busybox.tags['1.35']?.digest);
  },
);
