import {createHash} from 'node:crypto';
import PQueue from 'p-queue';
import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, digestOf, finishDigest, isDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {type JsonError, parseJson} from '../model/json.ts';
import {type Manifest, MANIFEST_LIMIT, parseManifest} from '../model/manifest.ts';
import {DOCKER_MANIFEST} from '../model/media-type.ts';
import type {BlobStream, ByteRange, Call, RepositoryReader} from '../model/port.ts';
import {normalizedImage, type Tag} from '../model/reference.ts';
import {list, z} from '../model/schema.ts';
import {type Compression, compressionOf, decompressed, gzipped, MAGIC_SIZE} from './compression.ts';
import type {TarArchive} from './tar-archive.ts';

const CONFIG_TYPE = 'application/vnd.docker.container.image.v1+json';
const LAYER_TYPE = 'application/vnd.docker.image.rootfs.diff.tar';

/** Layers that are read and compressed concurrently: zlib uses other threads. */
const LAYERS_AT_ONCE = 4;

/** The description of one image by `docker save` (moby: image/tarexport/save.go, `manifestItem`). */
export interface SavedImage {
  /** The file of the config. */
  readonly Config: string;
  /** Names such as `busybox:1.35`. */
  readonly RepoTags: readonly string[];
  /** The files of the layers, the base first. */
  readonly Layers: readonly string[];
}

const savedImages = list(
  z.object({
    Config: z.string(),
    RepoTags: list(z.string())
      .nullish()
      .transform((names) => names ?? []),
    Layers: list(z.string())
      .nullish()
      .transform((paths) => paths ?? []),
  }),
);
const config = z.object({
  rootfs: z.object({diff_ids: list(z.string().refine(isDigest)).nullish()}),
});

/** A layer to send. */
interface Layer {
  readonly descriptor: Descriptor;
  readonly path: string;
  /** The file is uncompressed, and compressed while it is read. */
  readonly isCompressedHere: boolean;
}

/**
 * Images as written by `docker save` before version 25, and by podman, kaniko and Bazel: configs and layers without
 * manifests. A manifest of Docker schema 2 is created for each. Compressed layers are used unchanged; others are
 * compressed each time they are read, so that nothing is stored on disk. The manifest is therefore known only after all
 * layers were read once; each is then checked against the config.
 */
export class SavedImages implements RepositoryReader {
  readonly name: string;
  readonly #archive: TarArchive;
  readonly #images: readonly SavedImage[];
  readonly #manifests = new Map<SavedImage, Promise<Manifest>>();
  readonly #layers = new Map<string, Promise<Layer>>();
  readonly #blobs = new Map<Digest, Layer | Uint8Array>();
  readonly #queue = new PQueue({concurrency: LAYERS_AT_ONCE});

  readonly #whyNewDigests: string;

  constructor(
    name: string,
    archive: TarArchive,
    images: readonly SavedImage[],
    whyNewDigests = 'the archive contains no manifests',
  ) {
    this.name = name;
    this.#archive = archive;
    this.#images = images;
    this.#whyNewDigests = whyNewDigests;
  }

  listTags(call: Call): Promise<readonly string[]> {
    call.signal.throwIfAborted();
    return Promise.resolve([...new Set(this.#images.flatMap(({RepoTags}) => RepoTags))]);
  }

  async listUnnamed(call: Call): Promise<readonly Digest[]> {
    const unnamed = this.#images.filter(({RepoTags}) => RepoTags.length === 0);
    const found: Digest[] = [];
    for (const image of unnamed) found.push((await this.#manifest(image, call)).descriptor.digest);
    return found;
  }

  async head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    return (await this.getManifest(reference, call))?.descriptor;
  }

  async getManifest(reference: Tag | Digest, call: Call): Promise<Manifest | undefined> {
    call.signal.throwIfAborted();
    if (!isDigest(reference)) {
      const name = nameIn(await this.listTags(call), reference);
      const image = this.#images.find(({RepoTags}) => RepoTags.includes(name));
      return image && (await this.#manifest(image, call));
    }
    for (const image of this.#images) {
      const manifest = await this.#manifest(image, call);
      if (manifest.descriptor.digest === reference) return manifest;
    }
    return undefined;
  }

  /** Such an archive has no referrers. */
  listReferrers(_subject: Digest, call: Call): Promise<readonly Descriptor[]> {
    call.signal.throwIfAborted();
    return Promise.resolve([]);
  }

  async hasBlob({digest}: Pick<Descriptor, 'digest'>, call: Call): Promise<boolean> {
    return (await this.blobSize(digest, call)) !== undefined;
  }

  async blobSize(digest: Digest, call: Call): Promise<number | undefined> {
    const blob = await this.#blob(digest, call);
    return blob instanceof Uint8Array ? blob.byteLength : blob?.descriptor.size;
  }

  async openBlob(wanted: Descriptor, {offset, end}: ByteRange, call: Call): Promise<BlobStream> {
    const blob = await this.#blob(wanted.digest, call);
    const size = await this.blobSize(wanted.digest, call);
    if (blob === undefined || size === undefined) {
      throw new TransshipError('BLOB_NOT_FOUND', `${this.name} does not contain ${wanted.digest}`, {
        side: 'source',
        hint: 'plan again: the archive may have changed, or its layers are compressed differently on this machine',
      });
    }
    if (size !== wanted.size) {
      const message = `${wanted.digest} in ${this.name} has ${size} bytes, the manifest says ${wanted.size}`;
      throw new TransshipError('BLOB_SIZE_MISMATCH', message, {side: 'source', hint: 'plan again'});
    }
    const last = Math.min(end ?? size, size);
    if (blob instanceof Uint8Array)
      return {start: offset, end: last, chunks: chunksOf(blob.subarray(offset, last))};
    if (blob.isCompressedHere)
      return {start: 0, end: size, chunks: this.#compressed(blob.path, call)};
    const chunks = this.#archive.stream(blob.path, offset, last, call);
    return {start: offset, end: last, chunks};
  }

  whyNewDigests(): Promise<string> {
    return Promise.resolve(this.#whyNewDigests);
  }

  async #blob(digest: Digest, call: Call): Promise<Layer | Uint8Array | undefined> {
    call.signal.throwIfAborted();
    if (!this.#blobs.has(digest))
      for (const image of this.#images) await this.#manifest(image, call);
    return this.#blobs.get(digest);
  }

  #manifest(image: SavedImage, call: Call): Promise<Manifest> {
    const known = this.#manifests.get(image) ?? this.#makeManifest(image, call);
    this.#manifests.set(image, known);
    known.catch(() => this.#manifests.delete(image));
    return known;
  }

  async #makeManifest(image: SavedImage, call: Call): Promise<Manifest> {
    const bytes = await this.#archive.read(image.Config, MANIFEST_LIMIT);
    if (!(bytes instanceof Uint8Array))
      throw this.#broken(
        `${image.Config} ${bytes === undefined ? 'is not in it' : 'is too large'}`,
      );
    const diffIds = this.#diffIds(image, bytes);
    const layers = await Promise.all(
      image.Layers.map(async (path, at) => await this.#layer(path, diffIds[at] as Digest, call)),
    );
    const digest = digestOf(bytes);
    this.#blobs.set(digest, bytes);
    const manifest = {
      schemaVersion: 2,
      mediaType: DOCKER_MANIFEST,
      config: {mediaType: CONFIG_TYPE, size: bytes.byteLength, digest},
      layers: layers.map(({descriptor: {mediaType, size, digest: of}}) => ({
        mediaType,
        size,
        digest: of,
      })),
    };
    const text = Buffer.from(JSON.stringify(manifest));
    return parseManifest(text, DOCKER_MANIFEST, undefined, 'source');
  }

  #diffIds(image: SavedImage, bytes: Uint8Array): readonly Digest[] {
    let json: unknown;
    try {
      json = parseJson(bytes);
    } catch (cause) {
      throw this.#broken(`${image.Config} ${(cause as JsonError).message}`, cause);
    }
    const diffIds = config.safeParse(json).data?.rootfs.diff_ids ?? [];
    if (diffIds.length === image.Layers.length) return diffIds;
    throw this.#broken(
      `${image.Config} names ${diffIds.length} layers, but manifest.json ${image.Layers.length}`,
    );
  }

  /** Reads each file once, even if several images share it. */
  async #layer(name: string, diffId: Digest, call: Call): Promise<Layer> {
    const path = this.#archive.resolve(name);
    if (path === undefined) throw this.#broken(`the layer ${name} is not in it`);
    const key = `${diffId} ${path}`;
    const known =
      this.#layers.get(key) ??
      this.#queue.add(async () => await this.#readLayer(path, diffId, call), {signal: call.signal});
    this.#layers.set(key, known);
    known.catch(() => this.#layers.delete(key));
    return await known;
  }

  /** Determines compression, size and digest of a layer, and checks it against the config. */
  async #readLayer(path: string, diffId: Digest, call: Call): Promise<Layer> {
    const size = (await this.#archive.size(path)) ?? 0;
    let found: Compression | undefined;
    for await (const head of this.#archive.stream(path, 0, MAGIC_SIZE, call))
      found = compressionOf(head);
    const isCompressedHere = found === undefined;
    const plain = createHash(diffId.startsWith('sha512:') ? 'sha512' : 'sha256');
    const hash = createHash('sha256');
    let length = 0;
    const raw = this.#archive.stream(path, 0, size, call);
    if (found === undefined) {
      for await (const chunk of gzipped(hashing(raw, plain))) {
        hash.update(chunk);
        length += chunk.byteLength;
      }
    } else {
      length = size;
      try {
        for await (const chunk of decompressed(hashing(raw, hash), found, size))
          plain.update(chunk);
      } catch (error) {
        call.signal.throwIfAborted();
        throw this.#broken(`the layer ${path} cannot be read: ${(error as Error).message}`, error);
      }
    }
    const seen = finishDigest(plain, diffId.startsWith('sha512:') ? 'sha512' : 'sha256');
    if (seen !== diffId)
      throw this.#broken(`the layer ${path} has the diff id ${seen}, the config says ${diffId}`);
    const mediaType = `${LAYER_TYPE}.${found?.name ?? 'gzip'}`;
    const digest = finishDigest(hash, 'sha256');
    const layer = {descriptor: {mediaType, digest, size: length}, path, isCompressedHere};
    this.#blobs.set(digest, layer);
    return layer;
  }

  async *#compressed(path: string, call: Call): AsyncGenerator<Uint8Array, void, undefined> {
    const size = (await this.#archive.size(path)) ?? 0;
    yield* gzipped(this.#archive.stream(path, 0, size, call));
  }

  #broken(why: string, cause?: unknown): TransshipError {
    return new TransshipError('MANIFEST_INVALID', `an image in ${this.name} is damaged: ${why}`, {
      side: 'source',
      hint: 'save the image into an archive again',
      cause,
    });
  }
}

/** The one of these names that is the same image for docker: `busybox` is `docker.io/library/busybox:latest`. */
export function nameIn(names: readonly string[], wanted: string): Tag {
  const normal = normalizedImage(wanted);
  const isSame = (name: string): boolean =>
    name === wanted || (normal !== undefined && normalizedImage(name) === normal);
  return (names.find(isSame) ?? wanted) as Tag;
}

/**
 * Reads `manifest.json` of an archive; undefined: it has none.
 * @throws Error if it is invalid
 */
export async function readSavedImages(
  archive: TarArchive,
): Promise<readonly SavedImage[] | undefined> {
  const bytes = await archive.read('manifest.json', MANIFEST_LIMIT);
  if (bytes === undefined) return undefined;
  if (!(bytes instanceof Uint8Array)) throw new Error('manifest.json is too large');
  const result = savedImages.safeParse(parseJson(bytes));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new Error(`manifest.json: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}

async function* hashing(
  chunks: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  if (bytes.byteLength > 0) yield bytes;
}
