import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import type {TransshipError} from '../model/error.ts';
import {type Manifest, MANIFEST_LIMIT, parseManifest} from '../model/manifest.ts';
import {isConfigType} from '../model/media-type.ts';
import type {BlobStream, ByteRange, Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import type {ContentCache} from './content-cache.ts';

/**
 * A source whose manifests and configs are cached on this machine. Docker Hub counts each GET of a manifest as a pull,
 * but not HEAD (docs.docker.com/docker-hub/usage/pulls), so a repository with more manifests than its rate limit allows
 * can be read in several runs. The existence of a manifest and the digest of a tag are always queried at the source, by
 * HEAD. A repository of which nothing is cached is read as without a cache.
 */
export class CachedReader implements RepositoryReader {
  readonly name: string;
  readonly #source: RepositoryReader;
  readonly #cache: ContentCache;
  /** The media types of manifests that this process read from the source, whose existence need not be checked again. */
  readonly #fetched = new Map<Digest, string>();

  constructor(source: RepositoryReader, cache: ContentCache) {
    this.name = source.name;
    this.#source = source;
    this.#cache = cache;
  }

  async getManifest(reference: Tag | Digest, call: Call): Promise<Manifest | undefined> {
    const again = isDigest(reference) ? await this.#readAgain(reference) : undefined;
    if (again !== undefined) return again;
    if (!(await this.#cache.isUsed(this.name))) return this.#fetch(reference, call);
    // For a digest that is not cached, no HEAD request is needed.
    const early = isDigest(reference) ? await this.#cache.read(this.name, reference) : undefined;
    if (isDigest(reference) && early === undefined) return this.#fetch(reference, call);
    const head = await this.#source.head(reference, call);
    if (head === undefined) return undefined;
    const kept = early ?? (await this.#cache.read(this.name, head.digest));
    if (kept === undefined) return this.#fetch(reference, call);
    return parseManifest(kept, head.mediaType, head.digest, 'source');
  }

  async openBlob(blob: Descriptor, range: ByteRange, call: Call): Promise<BlobStream> {
    const isWhole = range.offset === 0 && (range.end ?? blob.size) >= blob.size;
    if (!isConfigType(blob.mediaType) || !isWhole || blob.size > MANIFEST_LIMIT)
      return this.#source.openBlob(blob, range, call);
    const kept = (await this.#cache.isUsed(this.name))
      ? await this.#cache.read(this.name, blob.digest)
      : undefined;
    if (kept?.byteLength === blob.size) return {start: 0, end: blob.size, chunks: chunksOf([kept])};
    const {start, end, chunks} = await this.#source.openBlob(blob, range, call);
    return {start, end, chunks: this.#keeping(blob, chunks)};
  }

  listTags(call: Call): Promise<readonly string[] | undefined> {
    return this.#source.listTags(call);
  }

  async listDigests(call: Call): Promise<ReadonlyMap<string, Digest> | undefined> {
    return await this.#source.listDigests?.(call);
  }

  listNotUsed(why: TransshipError, instead: string): void {
    this.#source.listNotUsed?.(why, instead);
  }

  head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    return this.#source.head(reference, call);
  }

  listReferrers(subject: Digest, call: Call): Promise<readonly Descriptor[] | undefined> {
    return this.#source.listReferrers(subject, call);
  }

  hasBlob(blob: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<boolean> {
    return this.#source.hasBlob(blob, call);
  }

  blobSize(digest: Digest, call: Call): Promise<number | undefined> {
    return this.#source.blobSize(digest, call);
  }

  async #fetch(reference: Tag | Digest, call: Call): Promise<Manifest | undefined> {
    const manifest = await this.#source.getManifest(reference, call);
    // The cache checks the digest of the bytes, which differs from that of a signed manifest of schema 1.
    if (manifest && manifest.view.kind !== 'schema1') {
      const {digest, mediaType} = manifest.descriptor;
      await this.#cache.write(this.name, digest, manifest.bytes);
      this.#fetched.set(digest, mediaType);
    }
    return manifest;
  }

  async #readAgain(digest: Digest): Promise<Manifest | undefined> {
    const mediaType = this.#fetched.get(digest);
    const kept = mediaType === undefined ? undefined : await this.#cache.read(this.name, digest);
    return kept && parseManifest(kept, mediaType, digest, 'source');
  }

  async *#keeping(
    blob: Descriptor,
    chunks: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of chunks) {
      size += chunk.byteLength;
      if (size <= blob.size) parts.push(Buffer.from(chunk));
      yield chunk;
    }
    if (size === blob.size) await this.#cache.write(this.name, blob.digest, Buffer.concat(parts));
  }
}

async function* chunksOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
