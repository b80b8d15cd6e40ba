import {readdir, readFile, writeFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import {type Digest, digestOf} from '../../src/model/digest.ts';
import {type Manifest, parseManifest} from '../../src/model/manifest.ts';
import {OCI_INDEX, OCI_MANIFEST} from '../../src/model/media-type.ts';
import type {Tag} from '../../src/model/reference.ts';
import {OciLayout} from '../../src/places/oci-layout.ts';
import {LAYOUTS, layoutDirectory} from '../support/fixtures.ts';
import {LayoutFiles, tagOf} from '../support/layout-files.ts';
import {skopeo} from '../support/skopeo.ts';
import {NEVER, streamOf} from '../support/streams.ts';
import {tempDirectory} from '../support/temp.ts';

const call = {signal: NEVER};

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function manifestOf(bytes: Uint8Array, mediaType = OCI_MANIFEST): Manifest {
  return parseManifest(bytes, mediaType, undefined, 'source');
}

/** An image that differs by `name` only. */
function image(name: string): Manifest {
  const config = {mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf('{}'), size: 2};
  return manifestOf(json({schemaVersion: 2, config, layers: [], annotations: {name}}));
}

function indexOf(...children: readonly Manifest[]): Manifest {
  const manifests = children.map(({descriptor}) => descriptor);
  return manifestOf(json({schemaVersion: 2, manifests}), OCI_INDEX);
}

async function listed(directory: string): Promise<[string, string | undefined][]> {
  const {entries} = await LayoutFiles.open(directory);
  return entries.map((entry) => [entry.digest, tagOf(entry)]);
}

describe.each(LAYOUTS)('a copy of the layout %s', (name) => {
  test('has the same tags and bytes, and nothing else in its index', async () => {
    await using temp = await tempDirectory();
    const source = await LayoutFiles.open(layoutDirectory(name));
    const reader = new OciLayout(layoutDirectory(name));
    const writer = new OciLayout(temp.path);
    const roots = source.entries.filter((entry) => tagOf(entry) !== 'artifact');
    for (const root of roots) {
      for (const {digest, blobs} of await source.walk(root)) {
        for (const blob of blobs) {
          const bytes = (await source.read(blob)) ?? Buffer.alloc(0);
          const descriptor = {mediaType: '', digest: blob as Digest, size: bytes.byteLength};
          await writer.putBlob(descriptor, async () => streamOf([bytes]), call);
        }
        const manifest = await reader.getManifest(digest as Digest, call);
        if (manifest !== undefined) await writer.putManifest(digest as Digest, manifest, call);
      }
      const manifest = await reader.getManifest(root.digest as Digest, call);
      const reference = tagOf(root) ?? root.digest;
      if (manifest !== undefined) await writer.putManifest(reference as Tag, manifest, call);
    }

    const copy = await LayoutFiles.open(temp.path);
    const wanted = roots.map((entry) => `${entry.digest} ${tagOf(entry)}`);
    expect(copy.entries.map((entry) => `${entry.digest} ${tagOf(entry)}`).sort()).toEqual(
      wanted.sort(),
    );
    for (const root of roots) expect(await copy.walk(root)).toEqual(await source.walk(root));
  });
});

test('skopeo reads the result', async () => {
  await using temp = await tempDirectory();
  const source = new OciLayout(layoutDirectory('helm'));
  const writer = new OciLayout(temp.join('new', 'layout'));
  const files = await LayoutFiles.open(layoutDirectory('helm'));
  for (const root of files.entries) {
    const manifest = await source.getManifest(root.digest as Digest, call);
    if (manifest?.view.kind !== 'image') throw new Error('the chart is not an image');
    for (const blob of [manifest.view.config, ...manifest.view.layers]) {
      const open = async () => (await source.openBlob(blob, {offset: 0}, call)).chunks;
      await writer.putBlob(blob, open, call);
    }
    await writer.putManifest((tagOf(root) ?? '') as Tag, manifest, call);
  }
  const result = await skopeo(['inspect', '--raw', `oci:${temp.join('new', 'layout')}:0.1.0`]);
  expect(result).toMatchObject({code: 0, stderr: ''});
  expect(digestOf(result.stdout)).toBe(files.entries[0]?.digest);
  const copied = await skopeo([
    'copy',
    `oci:${temp.join('new', 'layout')}:0.1.0_build.7`,
    `dir:${temp.join('dir')}`,
  ]);
  expect(copied).toMatchObject({code: 0});
});

describe('putManifest', () => {
  test('moves a tag, and keeps other entries and unknown fields', async () => {
    await using temp = await tempDirectory();
    const layout = new OciLayout(temp.path);
    await layout.putManifest('v1' as Tag, image('a'), call);
    const before = JSON.parse(await readFile(temp.join('index.json'), 'utf8')) as {
      manifests: object[];
    };
    const strange = {mediaType: 'text/plain', digest: 'blake3:00', size: 1, extra: true};
    await writeFile(
      temp.join('index.json'),
      JSON.stringify({...before, note: 'kept', manifests: [strange, ...before.manifests]}),
    );

    await layout.putManifest('v2' as Tag, image('a'), call);
    await layout.putManifest('v1' as Tag, image('b'), call);

    const after = JSON.parse(await readFile(temp.join('index.json'), 'utf8')) as {
      note: string;
      manifests: object[];
    };
    expect(after.note).toBe('kept');
    expect(after.manifests[0]).toEqual(strange);
    expect(await layout.listTags(call)).toEqual(['v1', 'v2']);
    expect(await layout.head('v1' as Tag, call)).toEqual(image('b').descriptor);
    expect(await layout.head('v2' as Tag, call)).toEqual(image('a').descriptor);
  });

  test('lists a manifest without a tag until something else leads to it', async () => {
    await using temp = await tempDirectory();
    const layout = new OciLayout(temp.path);
    const [a, b] = [image('a'), image('b')];
    for (const child of [a, b]) await layout.putManifest(child.descriptor.digest, child, call);
    expect(await listed(temp.path)).toHaveLength(2);

    const index = indexOf(a, b);
    await layout.putManifest(index.descriptor.digest, index, call);
    expect(await listed(temp.path)).toEqual([[index.descriptor.digest, undefined]]);
    await layout.putManifest('both' as Tag, index, call);
    expect(await listed(temp.path)).toEqual([[index.descriptor.digest, 'both']]);
  });

  test('refuses bytes that are not those of the digest', async () => {
    await using temp = await tempDirectory();
    await expect(
      new OciLayout(temp.path).putManifest(digestOf('other'), image('a'), call),
    ).rejects.toMatchObject({code: 'MANIFEST_DIGEST_MISMATCH'});
    expect(await readdir(temp.path)).toEqual([]);
  });

  test('keeps the tags of all who write at the same time', async () => {
    await using temp = await tempDirectory();
    const tags = Array.from({length: 60}, (_, number) => `v${number}`);
    await Promise.all(
      [0, 1, 2].map(async (writer) => {
        const layout = new OciLayout(temp.path);
        const own = tags.filter((_, number) => number % 3 === writer);
        await Promise.all(own.map((tag) => layout.putManifest(tag as Tag, image(tag), call)));
      }),
    );
    const found = await new OciLayout(temp.path).listTags(call);
    expect([...(found ?? [])].sort()).toEqual(tags.sort());
    expect(await readdir(temp.join('.transship'))).toEqual([]);
  });

  test('a directory that cannot be written is an error with its name', async () => {
    await using temp = await tempDirectory();
    await writeFile(temp.join('file'), '');
    await expect(
      new OciLayout(temp.join('file', 'x')).putManifest('v1' as Tag, image('a'), call),
    ).rejects.toMatchObject({code: 'FILE_WRITE_FAILED', side: 'local'});
  });
});

test('deleteTag takes the tag away and keeps the manifest', async () => {
  await using temp = await tempDirectory();
  const layout = new OciLayout(temp.path);
  const {digest} = image('a').descriptor;
  for (const tag of ['v1', 'v2']) await layout.putManifest(tag as Tag, image('a'), call);
  await layout.deleteTag('v1' as Tag, call);
  expect(await listed(temp.path)).toEqual([[digest, 'v2']]);
  await layout.deleteTag('v2' as Tag, call);
  await layout.deleteTag('v2' as Tag, call);
  expect(await listed(temp.path)).toEqual([[digest, undefined]]);
  expect(await layout.head(digest, call)).toEqual(image('a').descriptor);
});

test('listReferrers includes what was just written', async () => {
  await using temp = await tempDirectory();
  const layout = new OciLayout(temp.path);
  const subject = image('subject');
  await layout.putManifest('v1' as Tag, subject, call);
  expect(await layout.listReferrers(subject.descriptor.digest, call)).toEqual([]);
  const referrer = manifestOf(
    json({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      artifactType: 'text/note',
      config: {mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf('{}'), size: 2},
      layers: [],
      subject: subject.descriptor,
      annotations: {by: 'me'},
    }),
  );
  const {subjectKept} = await layout.putManifest(referrer.descriptor.digest, referrer, call);
  expect(subjectKept).toBe(true);
  expect(await layout.listReferrers(subject.descriptor.digest, call)).toEqual([
    {...referrer.descriptor, artifactType: 'text/note', annotations: {by: 'me'}},
  ]);
});
