import {randomUUID} from 'node:crypto';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import type {Descriptor} from '../../src/model/descriptor.ts';
import {type Digest, digestOf} from '../../src/model/digest.ts';
import {type Manifest, parseManifest} from '../../src/model/manifest.ts';
import {OCI_INDEX, OCI_MANIFEST} from '../../src/model/media-type.ts';
import type {RepositoryReader, RepositoryWriter} from '../../src/model/port.ts';
import type {Tag} from '../../src/model/reference.ts';
import {PLACE_KINDS, type StartedPlace} from '../support/place-kinds.ts';
import {collect, NEVER, streamOf} from '../support/streams.ts';

/*
 * What every place must do, whatever it is: the port of model/port.ts, by one suite. A new kind of place is an entry in
 * test/support/place-kinds.ts.
 */

const call = {signal: NEVER};
const LATEST = 'latest' as Tag;
const NOWHERE = `sha256:${'0'.repeat(64)}` as Digest;
const BYTES = Buffer.alloc(300_001, 'the ferry leaves at nine ');

function blobOf(bytes: Uint8Array, algorithm: 'sha256' | 'sha512' = 'sha256'): Descriptor {
  const mediaType = 'application/vnd.oci.image.layer.v1.tar';
  return {mediaType, digest: digestOf(bytes, algorithm), size: bytes.byteLength};
}

/** How a place says that it does not keep content under a digest of this algorithm. */
const NOT_KEPT = ['CHANGE_NOT_SEEN', 'REGISTRY_REFUSED', 'BLOB_DIGEST_MISMATCH'];

interface Image {
  readonly manifest: Manifest;
  readonly blobs: ReadonlyMap<Descriptor, Buffer>;
}

/** An image of two blobs. The spaces in its manifest are a part of it. */
function image(name: string, more: Record<string, unknown> = {}): Image {
  const config = Buffer.from(JSON.stringify({architecture: 'amd64', os: 'linux', name}));
  const layer = Buffer.concat([BYTES, Buffer.from(name)]);
  const described = {
    ...blobOf(config),
    mediaType: 'application/vnd.oci.image.config.v1+json',
  };
  const content = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: described,
    layers: [blobOf(layer)],
    ...more,
  };
  const text = JSON.stringify(content, null, 5);
  return {
    manifest: parseManifest(Buffer.from(text), OCI_MANIFEST, undefined, 'source'),
    blobs: new Map([
      [blobOf(config), config],
      [blobOf(layer), layer],
    ]),
  };
}

function indexOf(images: readonly Image[]): Manifest {
  const manifests = images.map(({manifest: {descriptor}}, at) => ({
    ...descriptor,
    platform: {os: 'linux', architecture: ['amd64', 'arm64'][at] ?? 'riscv64'},
  }));
  const text = JSON.stringify({schemaVersion: 2, mediaType: OCI_INDEX, manifests}, null, 3);
  return parseManifest(Buffer.from(text), OCI_INDEX, undefined, 'source');
}

async function putBlobs({blobs}: Image, to: RepositoryWriter): Promise<void> {
  for (const [blob, bytes] of blobs) await to.putBlob(blob, () => Promise.resolve(bytes), call);
}

async function putImage(one: Image, reference: Tag | Digest, to: RepositoryWriter): Promise<void> {
  await putBlobs(one, to);
  await to.putManifest(reference, one.manifest, call);
}

/** A place of its own for each test of a suite. */
function freshPlace(start: () => Promise<StartedPlace>) {
  let place: StartedPlace;
  beforeEach(async () => {
    place = await start();
  });
  afterEach(async () => {
    await place[Symbol.asyncDispose]();
  });
  const session: StartedPlace['session'] = (use) => place.session(use);
  /** Writes, then reads as another process does. */
  const written = async <T>(
    write: (to: RepositoryWriter) => Promise<unknown>,
    read: (from: RepositoryReader) => Promise<T>,
  ): Promise<T> => {
    await session(async ({destination, finish}) => {
      await write(destination);
      await finish();
    });
    return await session(async ({source}) => await read(source));
  };
  return {session, written};
}

describe.each(PLACE_KINDS)('$kind', ({can, start}) => {
  const {session, written} = freshPlace(start);

  test('has nothing at first', async () => {
    await session(async ({destination}) => {
      expect((await destination.listTags(call)) ?? []).toEqual([]);
      for (const reference of [LATEST, NOWHERE]) {
        expect(await destination.head(reference, call)).toBeUndefined();
        expect(await destination.getManifest(reference, call)).toBeUndefined();
      }
      expect(await destination.hasBlob({digest: NOWHERE, size: 1}, call)).toBe(false);
      expect(await destination.blobSize(NOWHERE, call)).toBeUndefined();
      expect((await destination.listTags(call)) ?? []).toEqual([]);
    });
  });

  test('returns an image byte for byte, by name and by digest', async () => {
    const one = image('one');
    const {descriptor, bytes} = one.manifest;
    await written(
      (to) => putImage(one, LATEST, to),
      async (from) => {
        expect(await from.listTags(call)).toEqual([LATEST]);
        for (const reference of [LATEST, descriptor.digest]) {
          expect(await from.head(reference, call)).toMatchObject({
            digest: descriptor.digest,
            mediaType: OCI_MANIFEST,
            size: bytes.byteLength,
          });
          const found = await from.getManifest(reference, call);
          expect(Buffer.from(found?.bytes ?? []).equals(Buffer.from(bytes))).toBe(true);
        }
        for (const [blob, content] of one.blobs) {
          expect(await from.hasBlob(blob, call)).toBe(true);
          expect(await from.blobSize(blob.digest, call)).toBe(blob.size);
          const {chunks} = await from.openBlob(blob, {offset: 0}, call);
          expect((await collect(chunks)).equals(content)).toBe(true);
        }
      },
    );
  });

  test('opens a blob in the middle, or says where it begins', async () => {
    const one = image('one');
    const [, layer] = [...one.blobs.keys()];
    const [, bytes] = [...one.blobs.values()];
    if (layer === undefined || bytes === undefined) throw new Error('the image has no layer');
    await written(
      (to) => putImage(one, LATEST, to),
      async (from) => {
        for (const range of [
          {offset: 17},
          {offset: 17, end: 70_000},
          {offset: layer.size - 1},
          {offset: 0, end: 1},
        ]) {
          const {start: at, end, chunks} = await from.openBlob(layer, range, call);
          expect(at).toBeLessThanOrEqual(range.offset);
          expect((await collect(chunks)).equals(bytes.subarray(at, end))).toBe(true);
        }
      },
    );
  });

  test('keeps an index with its images, which are found by digest', async () => {
    const images = [image('one'), image('two')];
    const index = indexOf(images);
    await written(
      async (to) => {
        for (const one of images) await putImage(one, one.manifest.descriptor.digest, to);
        await to.putManifest(LATEST, index, call);
      },
      async (from) => {
        expect(await from.listTags(call)).toEqual([LATEST]);
        expect((await from.listUnnamed?.(call)) ?? []).toEqual([]);
        for (const {descriptor, bytes} of [index, ...images.map(({manifest}) => manifest)]) {
          const found = await from.getManifest(descriptor.digest, call);
          expect(found?.descriptor).toMatchObject({
            mediaType: descriptor.mediaType,
            digest: descriptor.digest,
          });
          expect(Buffer.from(found?.bytes ?? []).equals(Buffer.from(bytes))).toBe(true);
        }
      },
    );
  });

  test('keeps signatures beside an image', async () => {
    const one = image('one');
    const {digest} = one.manifest.descriptor;
    const tag = `sha256-${digest.slice(7)}.sig` as Tag;
    const signature = image('signature');
    await written(
      async (to) => {
        await putImage(one, LATEST, to);
        await putImage(signature, tag, to);
      },
      async (from) => {
        expect([...((await from.listTags(call)) ?? [])].sort()).toEqual([LATEST, tag].sort());
        expect((await from.head(tag, call))?.digest).toBe(signature.manifest.descriptor.digest);
      },
    );
  });

  test('lists what refers to an image, or says that it does not', async () => {
    const one = image('one');
    const {mediaType, digest, size} = one.manifest.descriptor;
    const sbom = image('sbom', {
      artifactType: 'application/spdx+json',
      subject: {mediaType, digest, size},
      annotations: {about: 'one'},
    });
    const kept = await session(async ({destination, finish}) => {
      await putImage(one, LATEST, destination);
      await putBlobs(sbom, destination);
      const put = await destination.putManifest(
        sbom.manifest.descriptor.digest,
        sbom.manifest,
        call,
      );
      await finish();
      return put.subjectKept;
    });
    const {referrers = kept} = can;
    expect(kept).toBe(referrers);
    const listed = await session(async ({source}) => [
      await source.listReferrers(digest, call),
      await source.listReferrers(sbom.manifest.descriptor.digest, call),
    ]);
    const found = expect.objectContaining({
      digest: sbom.manifest.descriptor.digest,
      artifactType: 'application/spdx+json',
    });
    expect(listed).toEqual(referrers ? [[found], []] : [undefined, undefined]);
  });

  test('refuses content that is not what its digest says', async () => {
    const bytes = Buffer.from('one thing');
    const blob = {...blobOf(Buffer.from('2nd thing')), size: bytes.byteLength};
    await session(async ({destination}) => {
      const putting = destination.putBlob(blob, () => Promise.resolve(bytes), call);
      await expect(putting).rejects.toMatchObject({
        code: expect.stringMatching(/MISMATCH|REFUSED/),
      });
      expect(await destination.hasBlob(blob, call)).toBe(false);

      const one = image('one').manifest;
      const put = destination.putManifest(NOWHERE, one, call);
      await expect(put).rejects.toMatchObject({name: 'TransshipError'});
      expect(await destination.head(NOWHERE, call)).toBeUndefined();
    });
  });

  test('reports missing content', async () => {
    await written(
      (to) => putImage(image('one'), LATEST, to),
      async (from) => {
        const blob = blobOf(Buffer.from('nowhere'));
        const open = async () =>
          await collect((await from.openBlob(blob, {offset: 0}, call)).chunks);
        await expect(open()).rejects.toMatchObject({code: 'BLOB_NOT_FOUND'});
        expect(await from.hasBlob(blob, call)).toBe(false);
        expect(await from.head(NOWHERE, call)).toBeUndefined();
        expect(await from.getManifest('v2' as Tag, call)).toBeUndefined();
      },
    );
  });

  test('says that a blob has another size', async () => {
    const one = image('one');
    const [, layer] = [...one.blobs.keys()];
    if (layer === undefined) throw new Error('the image has no layer');
    await written(
      (to) => putImage(one, LATEST, to),
      async (from) => {
        const wrong = {...layer, size: layer.size + 1};
        const open = async () =>
          await collect((await from.openBlob(wrong, {offset: 0}, call)).chunks);
        await expect(open()).rejects.toMatchObject({code: 'BLOB_SIZE_MISMATCH'});
        // The digest decides.
        expect(await from.hasBlob(wrong, call)).toBe(true);
      },
    );
  });

  test('accepts a blob in chunks, and resumes in another process', async () => {
    // Some registries find in all repositories what another test left in one.
    const one = image(`chunks ${randomUUID()}`);
    const [config, layer] = [...one.blobs.keys()];
    const [small, large] = [...one.blobs.values()];
    if (!config || !layer || !small || !large) throw new Error('the image has two blobs');
    const half = 150_000;
    const saved = await session(async ({destination}) => {
      const upload = await destination.beginUpload(layer, call);
      expect(upload.offset).toBe(0);
      expect(await upload.append(streamOf([large.subarray(0, half)]), half, call)).toBe(half);
      return upload.saved;
    });
    await written(
      async (to) => {
        expect(await to.hasBlob(layer, call)).toBe(false);
        const upload = await to.resumeUpload(saved, call);
        if (upload === undefined) throw new Error('the upload is gone');
        expect(await upload.queryOffset(call)).toBe(half);
        const rest = large.subarray(half);
        await upload.append(streamOf([rest]), rest.byteLength, call);
        await upload.commit(layer, call);
        await to.putBlob(config, () => Promise.resolve(small), call);
        await to.putManifest(LATEST, one.manifest, call);
      },
      async (from) => {
        const {chunks} = await from.openBlob(layer, {offset: 0}, call);
        expect((await collect(chunks)).equals(large)).toBe(true);
      },
    );
  });

  test('forgets an upload that is given up', async () => {
    await session(async ({destination}) => {
      const upload = await destination.beginUpload(blobOf(BYTES), call);
      await upload.append(streamOf([BYTES.subarray(0, 1000)]), 1000, call);
      await upload.cancel(call);
      expect(await upload.queryOffset(call)).toBeUndefined();
      expect(await destination.resumeUpload(upload.saved, call)).toBeUndefined();
    });
  });

  test('takes the same things again', async () => {
    const one = image('one');
    await written(
      async (to) => {
        await putImage(one, LATEST, to);
        await putImage(one, LATEST, to);
        await putImage(one, one.manifest.descriptor.digest, to);
      },
      async (from) => {
        expect(await from.listTags(call)).toEqual([LATEST]);
        expect((await from.head(LATEST, call))?.digest).toBe(one.manifest.descriptor.digest);
      },
    );
  });

  test('moves a name to another image', async () => {
    const [one, two] = [image('one'), image('two')];
    await written(
      async (to) => {
        await putImage(one, LATEST, to);
        await putImage(two, LATEST, to);
      },
      async (from) => {
        expect((await from.head(LATEST, call))?.digest).toBe(two.manifest.descriptor.digest);
      },
    );
  });

  test('keeps content with a sha512 digest, or says that it does not', async () => {
    const blob = blobOf(BYTES, 'sha512');
    const one = image('one', {layers: [blob]});
    /** The code of the refusal; undefined: it was taken. */
    const refusal = async (to: RepositoryWriter): Promise<unknown> => {
      const putting = to.putBlob(blob, () => Promise.resolve(BYTES), call);
      const [result] = await Promise.allSettled([putting]);
      if (result.status === 'rejected') return (result.reason as {readonly code: unknown}).code;
      await putImage(one, LATEST, to);
      return undefined;
    };
    let refused: unknown;
    await written(
      async (to) => {
        refused = await refusal(to);
      },
      async (from) => {
        const isKept = refused === undefined;
        expect([undefined, ...(can.sha512 === true ? [] : NOT_KEPT)]).toContain(refused);
        expect(await from.hasBlob(blob, call)).toBe(isKept);
        const read = async () =>
          await collect((await from.openBlob(blob, {offset: 0}, call)).chunks);
        const [result] = await Promise.allSettled([read()]);
        const came = result.status === 'fulfilled' && result.value.equals(BYTES);
        expect(came).toBe(isKept);
      },
    );
  });

  test('ends with its signal', async () => {
    const over = {signal: AbortSignal.abort(new Error('told to end'))};
    const one = image('one');
    const [blob] = one.blobs.keys();
    if (blob === undefined) throw new Error('the image has no blob');
    await session(async ({destination}) => {
      for (const doing of [
        () => destination.listTags(over),
        () => destination.head(LATEST, over),
        () => destination.getManifest(LATEST, over),
        () => destination.hasBlob(blob, over),
        () => destination.blobSize(blob.digest, over),
        () => destination.openBlob(blob, {offset: 0}, over),
        () => destination.putBlob(blob, () => Promise.resolve(BYTES), over),
        () => destination.beginUpload(blob, over),
        () => destination.putManifest(LATEST, one.manifest, over),
      ])
        await expect(doing()).rejects.toThrow('told to end');
    });
  });
});

describe.each(PLACE_KINDS.filter(({can}) => can.names))('$kind, which has names,', ({start}) => {
  const {written} = freshPlace(start);

  test('keeps several images by their names', async () => {
    const [one, two] = [image('one'), image('two')];
    const names = ['1.0', 'A_b-c.9', `${'x'.repeat(127)}9`] as Tag[];
    await written(
      async (to) => {
        for (const name of names) await putImage(one, name, to);
        await putImage(two, LATEST, to);
      },
      async (from) => {
        expect([...((await from.listTags(call)) ?? [])].sort()).toEqual([...names, LATEST].sort());
        for (const name of names)
          expect((await from.head(name, call))?.digest).toBe(one.manifest.descriptor.digest);
      },
    );
  });
});

describe.each(PLACE_KINDS.filter(({can}) => !can.names))(
  '$kind, which has no names,',
  ({start}) => {
    const {session} = freshPlace(start);

    test('refuses a name for a second image', async () => {
      await session(async ({destination}) => {
        const put = putImage(image('one'), '1.0' as Tag, destination);
        await expect(put).rejects.toMatchObject({code: 'TRANSPORT_UNSUPPORTED'});
      });
    });
  },
);

describe.each(PLACE_KINDS.filter(({can}) => can.anyName))(
  '$kind, asked for any text,',
  ({start}) => {
    const {written} = freshPlace(start);

    test.each(['../place', '../../etc/passwd', '/etc/passwd', 'a/../../b', '', '.'])(
      'has no content named "%s", and writes nothing outside for it',
      async (name) => {
        await written(
          async (to) => {
            await putImage(image('one'), LATEST, to);
            await putBlobs(image('two'), to);
            const putting = to.putManifest(name as Tag, image('two').manifest, call);
            const [result] = await Promise.allSettled([putting]);
            const code: unknown = result.status === 'rejected' ? result.reason.code : undefined;
            expect([undefined, 'TRANSPORT_UNSUPPORTED']).toContain(code);
          },
          async (from) => {
            const found = await from.getManifest(name as Tag, call);
            expect([undefined, image('two').manifest.descriptor.digest]).toContain(
              found?.descriptor.digest,
            );
            expect(await from.getManifest(`${name}x` as Tag, call)).toBeUndefined();
          },
        );
      },
    );
  },
);
