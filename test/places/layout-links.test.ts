import {cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile} from 'node:fs/promises';
import {join, relative} from 'node:path';
import {beforeEach, afterEach, describe, expect, test} from 'vitest';
import {type Digest, digestOf} from '../../src/model/digest.ts';
import {parseManifest} from '../../src/model/manifest.ts';
import {OciLayout} from '../../src/places/oci-layout.ts';
import type {Tag} from '../../src/model/reference.ts';
import {layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {NEVER} from '../support/streams.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';

const call = {signal: NEVER};
const corpus = await readCorpus();
const [tag, {digest}] = Object.entries(corpus.helm.tags)[0] ?? ['', {digest: ''}];
const refused = {
  code: 'FILE_INVALID',
  message: expect.stringContaining('is a link to a file outside of'),
};
let temp: TempDirectory;
let directory: string;
let outside: string;

beforeEach(async () => {
  temp = await tempDirectory();
  directory = temp.join('layout');
  outside = temp.join('outside');
  await cp(layoutDirectory('helm'), directory, {recursive: true});
  await mkdir(outside);
});
afterEach(() => temp[Symbol.asyncDispose]());

const file = (of: string): string => join(directory, 'blobs/sha256', of.slice(7));

const openBlob = () => Promise.resolve(Buffer.from('blob'));

/** Moves a file or directory of the layout out of it, and leaves a link in its place. */
async function linkOut(path: string): Promise<void> {
  const away = join(outside, 'away');
  await rename(path, away);
  await symlink(away, path);
}

describe('a link that leads out of the layout is not read:', () => {
  test('a manifest', async () => {
    await linkOut(file(digest));
    const layout = new OciLayout(directory);
    await expect(layout.getManifest(tag as Tag, call)).rejects.toMatchObject(refused);
    await expect(layout.head(tag as Tag, call)).rejects.toMatchObject(refused);
  });

  test('a blob that becomes a link after its size was read', async () => {
    const [found] = Object.entries(corpus.helm.blobs);
    const [blob, size] = [found?.[0] ?? '', found?.[1].size ?? 0];
    const layout = new OciLayout(directory, {side: 'source'});
    const wanted = {mediaType: '', digest: blob as Digest, size};
    const {chunks} = await layout.openBlob(wanted, {offset: 0}, call);
    await rm(file(blob));
    await writeFile(join(outside, 'secret'), Buffer.alloc(size, 's'));
    await symlink(join(outside, 'secret'), file(blob));
    await expect(chunks[Symbol.asyncIterator]().next()).rejects.toMatchObject(refused);
  });

  test('a blob, even of the size that is wanted', async () => {
    const [found] = Object.entries(corpus.helm.blobs);
    const [blob, size] = [found?.[0] ?? '', found?.[1].size ?? 0];
    await rm(file(blob));
    await writeFile(join(outside, 'secret'), Buffer.alloc(size, 's'));
    await symlink(join(outside, 'secret'), file(blob));
    const layout = new OciLayout(directory, {side: 'source'});
    const wanted = {mediaType: '', digest: blob as Digest, size};
    await expect(layout.openBlob(wanted, {offset: 0}, call)).rejects.toMatchObject({
      ...refused,
      side: 'source',
    });
    await expect(layout.hasBlob(wanted, call)).rejects.toMatchObject(refused);
  });

  test.each(['blobs', 'blobs/sha256', 'index.json', 'oci-layout'])('%s', async (name) => {
    await linkOut(join(directory, name));
    const layout = new OciLayout(directory);
    await expect(layout.getManifest(tag as Tag, call)).rejects.toMatchObject(refused);
  });
});

describe('a directory outside is not written to by way of', () => {
  const bytes = Buffer.from('{"schemaVersion":2,"manifests":[]}');
  const manifest = parseManifest(bytes, undefined, undefined, 'local');
  const blob = {mediaType: '', digest: digestOf('blob'), size: 4};

  test.each(['blobs', 'blobs/sha256', '.transship'])('%s', async (name) => {
    await rm(join(directory, name), {recursive: true, force: true});
    await symlink(outside, join(directory, name));
    const layout = new OciLayout(directory);
    await expect(layout.putManifest('x' as Tag, manifest, call)).rejects.toMatchObject(refused);
    await expect(layout.putBlob(blob, openBlob, call)).rejects.toMatchObject(refused);
    expect(await readdir(outside)).toEqual([]);
  });
});

test('a directory that is empty yet is written to, however it is named', async () => {
  const name = relative(process.cwd(), outside);
  for (const path of [`./${name}`, `${name}/`, `${outside}/.`]) {
    const layout = new OciLayout(path);
    const manifest = parseManifest(
      Buffer.from(`{"schemaVersion":2,"manifests":[],"annotations":{"path":"${path}"}}`),
      undefined,
      undefined,
      'local',
    );
    await layout.putManifest('x' as Tag, manifest, call);
    expect(await layout.head('x' as Tag, call)).toMatchObject({
      digest: manifest.descriptor.digest,
    });
    await rm(outside, {recursive: true});
    await mkdir(outside);
  }
});

test('links within a layout, and one to a layout, are followed', async () => {
  const moved = join(directory, 'pool');
  await rename(file(digest), moved);
  await symlink(moved, file(digest));
  const link = temp.join('link');
  await symlink(directory, link);
  const found = await new OciLayout(link).getManifest(tag as Tag, call);
  expect(found?.bytes).toEqual(await readFile(moved));
});
