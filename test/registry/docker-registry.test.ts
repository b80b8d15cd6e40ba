import {randomBytes} from 'node:crypto';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import type {Descriptor} from '../../src/model/descriptor.ts';
import {type Digest, digestOf, parseDigest} from '../../src/model/digest.ts';
import {
  childBlobs,
  childManifests,
  type Manifest,
  parseManifest,
} from '../../src/model/manifest.ts';
import {isManifestType, OCI_MANIFEST} from '../../src/model/media-type.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {Registry, type RegistryRepository} from '../../src/registry/registry.ts';
import {type DockerRegistry, startDockerRegistry} from '../support/docker-registry.ts';
import {layoutDirectory, LAYOUTS, readCorpus} from '../support/fixtures.ts';
import {pushLayout, verifyLayout} from '../support/independent.ts';
import {collect, NEVER, streamOf} from '../support/streams.ts';

const call = {signal: NEVER};
const corpus = await readCorpus();
let server: DockerRegistry;
let http: HttpClient;
let registry: Registry;

beforeAll(async () => {
  server = await startDockerRegistry({foreignUrls: true});
  http = new HttpClient();
  registry = new Registry({host: server.host, side: 'destination', http});
});
afterAll(async () => {
  await http[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const repository = (path: string) => registry.repository(path as RepositoryPath);

function blobOf(bytes: Uint8Array): Descriptor {
  return {mediaType: 'application/octet-stream', digest: digestOf(bytes), size: bytes.length};
}

/** Copies a manifest and all below it, blobs first, with nothing but the port. */
async function copy(from: RegistryRepository, to: RegistryRepository, name: Tag | Digest) {
  const manifest = await from.getManifest(name, call);
  if (!manifest) throw new Error(`${name} is not there`);
  for (const child of childManifests(manifest.view)) await copy(from, to, child.digest);
  for (const blob of childBlobs(manifest.view)) {
    if (await to.hasBlob(blob, call)) continue;
    if (!(await from.hasBlob(blob, call))) continue;
    const open = async () => (await from.openBlob(blob, {offset: 0}, call)).chunks;
    await to.putBlob(blob, open, call);
  }
  await to.putManifest(name, manifest, call);
}

describe('docker-registry', () => {
  it.each(LAYOUTS.filter((name) => name !== 'sparse'))('gives and takes %s', async (name) => {
    const directory = layoutDirectory(name);
    const {tags} = await pushLayout(directory, server.url, `in/${name}`, {allowRefused: true});
    expect(tags.length).toBeGreaterThan(0);
    const [from, to] = [repository(`in/${name}`), repository(`out/${name}`)];
    expect([...((await from.listTags(call)) ?? [])].sort()).toEqual([...tags].sort());
    for (const tag of tags) {
      const head = await from.head(tag as Tag, call);
      expect(head).toMatchObject(corpus[name].tags[tag] ?? {});
      await copy(from, to, tag as Tag);
    }
    const report = await verifyLayout(directory, server.url, `out/${name}`, {tags});
    expect(report.problems).toEqual([]);
  });

  it('reports missing content', async () => {
    const absent = digestOf('absent');
    const nowhere = repository('no/where');
    expect(await nowhere.listTags(call)).toBeUndefined();
    expect(await nowhere.head('latest' as Tag, call)).toBeUndefined();
    expect(await nowhere.getManifest(absent, call)).toBeUndefined();
    expect(await nowhere.hasBlob({digest: absent, size: 5}, call)).toBe(false);
    expect(await nowhere.listReferrers(absent, call)).toBeUndefined();
    const blob = {mediaType: 'a/b', digest: absent, size: 5};
    await expect(nowhere.openBlob(blob, {offset: 0}, call)).rejects.toMatchObject({
      code: 'BLOB_NOT_FOUND',
      status: 404,
      side: 'destination',
    });
  });

  it('accepts a blob in chunks, and resumes after a restart', async () => {
    const bytes = randomBytes(700_000);
    const blob = blobOf(bytes);
    const to = repository('chunks');
    const upload = await to.beginUpload(blob, call);
    expect(upload.offset).toBe(0);
    expect(await upload.queryOffset(call)).toBe(0);
    const piece = (start: number, end: number) => streamOf([bytes.subarray(start, end)]);
    expect(await upload.append(piece(0, 300_000), 300_000, call)).toBe(300_000);
    const saved = JSON.parse(JSON.stringify(upload.saved)) as typeof upload.saved;
    const again = await to.resumeUpload(saved, call);
    expect(again?.offset).toBe(300_000);
    expect(await again?.append(piece(300_000, 700_000), 400_000, call)).toBe(700_000);
    await again?.commit(blob, call);
    const {start, chunks} = await to.openBlob(blob, {offset: 0}, call);
    expect(start).toBe(0);
    expect((await collect(chunks)).equals(bytes)).toBe(true);
    expect(await to.resumeUpload(saved, call)).toBeUndefined();
  });

  it('returns parts of a blob', async () => {
    const bytes = randomBytes(10_000);
    const blob = blobOf(bytes);
    const from = repository('pieces');
    await from.putBlob(blob, () => Promise.resolve(bytes), call);
    for (const [offset, end] of [
      [0, 10_000],
      [0, 10],
      [9_999, 10_000],
      [500, 600],
      [10_000, 10_000],
    ] as const) {
      const {start, chunks} = await from.openBlob(blob, {offset, end}, call);
      expect(start).toBe(offset);
      expect((await collect(chunks)).equals(bytes.subarray(offset, end))).toBe(true);
    }
    const wrong = {...blob, size: 20_000};
    const opening = from.openBlob(wrong, {offset: 0}, call);
    await expect(opening).rejects.toMatchObject({code: 'BLOB_SIZE_MISMATCH'});
    const beyond = from.openBlob(wrong, {offset: 15_000}, call);
    await expect(beyond).rejects.toMatchObject({code: 'BLOB_SIZE_MISMATCH'});
  });

  it('takes an empty blob', async () => {
    const blob = blobOf(new Uint8Array());
    const to = repository('empty');
    await to.putBlob(blob, () => Promise.resolve(streamOf([])), call);
    expect(await to.hasBlob(blob, call)).toBe(true);
    const {chunks} = await to.openBlob(blob, {offset: 0}, call);
    expect(await collect(chunks)).toHaveLength(0);
  });

  it('refuses bytes with another digest', async () => {
    const to = repository('wrong');
    const blob = {...blobOf(Buffer.from('right')), digest: digestOf('other')};
    const putting = to.putBlob(blob, () => Promise.resolve(streamOf([Buffer.from('right')])), call);
    await expect(putting).rejects.toMatchObject({code: 'BLOB_DIGEST_MISMATCH', retry: true});
  });

  it('mounts what another repository has, and opens an upload for what it has not', async () => {
    const bytes = randomBytes(1000);
    const blob = blobOf(bytes);
    await repository('mount/from').putBlob(blob, () => Promise.resolve(streamOf([bytes])), call);
    const to = repository('mount/to');
    const from = 'mount/from' as RepositoryPath;
    expect(await to.mount(blob, from, call)).toEqual({kind: 'mounted'});
    expect(await to.hasBlob(blob, call)).toBe(true);
    const other = await to.mount({...blob, digest: digestOf('absent')}, from, call);
    if (other.kind !== 'upload') throw new Error(other.kind);
    await other.upload.cancel(call);
    expect(await other.upload.queryOffset(call)).toBeUndefined();
  });

  it('explains a manifest whose parts are not there', async () => {
    const to = repository('parts');
    const config = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf('{}'),
      size: 2,
    };
    const manifest = manifestOf({schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: []});
    await expect(to.putManifest('a' as Tag, manifest, call)).rejects.toMatchObject({
      code: 'MANIFEST_PARTS_MISSING',
      message: expect.stringContaining(config.digest) as string,
    });
  });

  it('deletes by digest, and says that it cannot by tag', async () => {
    await pushLayout(layoutDirectory('helm'), server.url, 'deleted');
    const here = repository('deleted');
    const [tag = ''] = (await here.listTags(call)) ?? [];
    await expect(here.deleteTag(tag as Tag, call)).rejects.toMatchObject({
      code: 'UNSUPPORTED_BY_REGISTRY',
    });
    const digest = parseDigest(corpus.helm.tags[tag]?.digest ?? '');
    await here.deleteManifest(digest, call);
    expect(await here.head(tag as Tag, call)).toBeUndefined();
    await here.deleteManifest(digest, call);
  });

  it('lists its repositories', async () => {
    await pushLayout(layoutDirectory('helm'), server.url, 'listed/here');
    expect(await registry.catalog(call)).toContain('listed/here');
  });
});

describe('docker-registry, refusing with 500', () => {
  it('is asked twice at most, and quoted', async () => {
    await using strict = await startDockerRegistry();
    const foreign = layoutDirectory('foreign');
    await pushLayout(foreign, strict.url, 'foreign', {tags: [], allowRefused: true});
    await pushLayout(foreign, server.url, 'foreign', {allowRefused: true});
    const source = repository('foreign');
    const to = new Registry({host: strict.host, side: 'destination', http}).repository(
      'foreign' as RepositoryPath,
    );
    const [tag] = ['oci', 'docker'] as readonly string[] as readonly Tag[];
    const manifest = tag && (await source.getManifest(tag, call));
    if (!manifest) throw new Error('the fixture has no such tag');
    for (const blob of childBlobs(manifest.view)) {
      if (isManifestType(blob.mediaType) || !(await source.hasBlob(blob, call))) continue;
      const open = async () => (await source.openBlob(blob, {offset: 0}, call)).chunks;
      await to.putBlob(blob, open, call);
    }
    await strict.forgetRequests();
    await expect(to.putManifest(tag, manifest, call)).rejects.toMatchObject({
      code: 'REGISTRY_REFUSED',
      status: 500,
      message: expect.stringContaining('UNKNOWN') as string,
    });
    const puts = (await strict.requests()).filter(({method}) => method === 'PUT');
    expect(puts).toHaveLength(2);
  });
});

function manifestOf(value: object): Manifest {
  return parseManifest(Buffer.from(JSON.stringify(value)), undefined, undefined, 'source');
}
