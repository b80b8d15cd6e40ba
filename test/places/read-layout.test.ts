import {cp, rm, writeFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import {type Digest, digestOf, parseDigest} from '../../src/model/digest.ts';
import type {Tag} from '../../src/model/reference.ts';
import {OciLayout} from '../../src/places/oci-layout.ts';
import {LAYOUTS, layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {isDigestOf, LayoutFiles} from '../support/layout-files.ts';
import {collect, NEVER} from '../support/streams.ts';
import {tempDirectory} from '../support/temp.ts';

const call = {signal: NEVER};
const corpus = await readCorpus();

describe.each(LAYOUTS)('the layout %s', (name) => {
  const layout = new OciLayout(layoutDirectory(name));
  const {tags, manifests, blobs} = corpus[name];

  test('lists its tags with what they point to', async () => {
    expect([...((await layout.listTags(call)) ?? [])].sort()).toEqual(Object.keys(tags).sort());
    for (const [tag, wanted] of Object.entries(tags))
      expect(await layout.head(tag as Tag, call)).toMatchObject(wanted);
  });

  test('returns each manifest byte for byte', async () => {
    const files = await LayoutFiles.open(layoutDirectory(name));
    for (const [text, {mediaType}] of Object.entries(manifests)) {
      const digest = parseDigest(text);
      const manifest = await layout.getManifest(digest, call);
      expect(manifest?.descriptor).toMatchObject({digest, mediaType});
      expect(manifest?.bytes).toEqual(await files.read(digest));
    }
  });

  test('returns the bytes of each blob', async () => {
    for (const [text, {size, absent}] of Object.entries(blobs)) {
      const digest = parseDigest(text);
      expect(await layout.hasBlob({digest, size}, call)).toBe(absent !== true);
      if (absent === true) continue;
      const {chunks} = await layout.openBlob({mediaType: '', digest, size}, {offset: 0}, call);
      expect(isDigestOf(digest, await collect(chunks))).toBe(true);
    }
  });
});

test('what the layout does not have is an error', async () => {
  const foreign = new OciLayout(layoutDirectory('foreign'), {side: 'source'});
  const absent = Object.entries(corpus.foreign.blobs).find(([, blob]) => blob.absent === true);
  const blob = {mediaType: '', digest: parseDigest(absent?.[0] ?? ''), size: 1};
  await expect(foreign.openBlob(blob, {offset: 0}, call)).rejects.toMatchObject({
    code: 'BLOB_NOT_FOUND',
    side: 'source',
  });
});

test('reads the artifact manifest that the image spec dropped', async () => {
  const odd = new OciLayout(layoutDirectory('odd'));
  const manifest = await odd.getManifest('artifact' as Tag, call);
  expect(manifest?.view.kind).toBe('artifact');
});

test('finds referrers, also those that an index lists, as the corpus has them', async () => {
  for (const name of ['referrers', 'attested', 'attested-buildkit'] as const) {
    const layout = new OciLayout(layoutDirectory(name));
    const wanted = new Map<string, string[]>();
    for (const [digest, {subject}] of Object.entries(corpus[name].manifests))
      if (subject !== undefined) wanted.set(subject, [...(wanted.get(subject) ?? []), digest]);
    expect(wanted.size).toBeGreaterThan(0);
    for (const [subject, digests] of wanted) {
      const found = await layout.listReferrers(parseDigest(subject), call);
      expect(found.map(({digest}) => digest as string).sort()).toEqual(digests.sort());
      expect(found.every(({artifactType}) => artifactType !== undefined)).toBe(true);
    }
    expect(await layout.listReferrers(digestOf('nobody'), call)).toEqual([]);
  }
});

describe('openBlob', () => {
  const layout = new OciLayout(layoutDirectory('busybox'));
  const digest = Object.entries(corpus.busybox.blobs).sort((a, b) => b[1].size - a[1].size)[0];
  const blob = {
    mediaType: '',
    digest: parseDigest(digest?.[0] ?? ''),
    size: digest?.[1].size ?? 0,
  };

  test('returns parts that join to the blob', async () => {
    const whole = await collect((await layout.openBlob(blob, {offset: 0}, call)).chunks);
    const cut = 300_001;
    const first = await layout.openBlob(blob, {offset: 0, end: cut}, call);
    const second = await layout.openBlob(blob, {offset: cut}, call);
    expect([first.start, second.start]).toEqual([0, cut]);
    expect(Buffer.concat([await collect(first.chunks), await collect(second.chunks)])).toEqual(
      whole,
    );
  });

  test('ends with the reason of the signal', async () => {
    const stop = new AbortController();
    const {chunks} = await layout.openBlob(blob, {offset: 0}, stop);
    const read = async (): Promise<void> => {
      for await (const chunk of chunks) stop.abort(new Error(`enough of ${typeof chunk}s`));
    };
    await expect(read()).rejects.toThrow('enough of objects');
  });

  test('refuses a file of another size than the manifest says', async () => {
    await expect(
      layout.openBlob({...blob, size: blob.size + 1}, {offset: 0}, call),
    ).rejects.toMatchObject({code: 'BLOB_SIZE_MISMATCH'});
  });
});

describe('invalid content', () => {
  test('a directory that is no layout has no repository, tags or manifests', async () => {
    await using temp = await tempDirectory();
    for (const path of [temp.path, temp.join('absent')]) {
      const layout = new OciLayout(path);
      expect(await layout.listTags(call)).toBeUndefined();
      expect(await layout.head('latest' as Tag, call)).toBeUndefined();
      expect(await layout.getManifest(digestOf('x'), call)).toBeUndefined();
      expect(await layout.listReferrers(digestOf('x'), call)).toEqual([]);
    }
  });

  test.each([
    ['index.json', '{"manifests": [{}]}'],
    ['index.json', '{'],
    ['oci-layout', '{"imageLayoutVersion": "2.0.0"}'],
    ['oci-layout', '[]'],
  ])('an invalid %s is named: %s', async (file, text) => {
    await using temp = await tempDirectory();
    await cp(layoutDirectory('helm'), temp.path, {recursive: true});
    await writeFile(temp.join(file), text);
    await expect(new OciLayout(temp.path).listTags(call)).rejects.toMatchObject({
      code: 'FILE_INVALID',
      message: expect.stringContaining(temp.join(file)),
    });
  });

  test('a manifest that is absent is not there, a damaged one is an error', async () => {
    await using temp = await tempDirectory();
    await cp(layoutDirectory('helm'), temp.path, {recursive: true});
    const [damaged, absent] = Object.values(corpus.helm.tags).map(({digest}) => digest as Digest);
    await writeFile(temp.join('blobs', 'sha256', damaged?.slice(7) ?? ''), '{"layers": []}');
    await rm(temp.join('blobs', 'sha256', absent?.slice(7) ?? ''));
    const layout = new OciLayout(temp.path, {side: 'source'});
    await expect(layout.getManifest(damaged ?? digestOf(''), call)).rejects.toMatchObject({
      side: 'source',
    });
    expect(await layout.head(absent ?? digestOf(''), call)).toBeUndefined();
    expect(await layout.getManifest(absent ?? digestOf(''), call)).toBeUndefined();
  });
});
