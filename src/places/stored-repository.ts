import {createHash} from 'node:crypto';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, finishDigest, isDigest} from '../model/digest.ts';
import {type Side, TransshipError} from '../model/error.ts';
import {
  childBlobs,
  childManifests,
  type Manifest,
  MANIFEST_LIMIT,
  manifestTooLarge,
  parseManifest,
} from '../model/manifest.ts';
import {isManifestType} from '../model/media-type.ts';
import type {BlobStream, ByteRange, Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {isDamage} from './file-error.ts';
import {findReferrers} from './layout-entries.ts';

/** The files of a place on this machine. Paths are relative to the place, with `/`. */
export interface PlaceFiles {
  /** The name of a file for messages. */
  nameOf(path: string): string;
  /**
   * The size of a file in bytes; undefined: it does not exist.
   * @throws TransshipError FILE_INVALID for a link to a file outside of the place; FILE_UNREADABLE
   */
  size(path: string): Promise<number | undefined>;
  /** The content of a file of at most `limit` bytes, or else its size; undefined: it does not exist. */
  read(path: string, limit: number): Promise<Uint8Array | {readonly size: number} | undefined>;
  /** The bytes of a file from `offset` to `end`, exclusive. Each chunk is a separate buffer. */
  stream(path: string, offset: number, end: number, call: Call): AsyncIterable<Uint8Array>;
}

/** The images that a place lists. The same object is returned until they change. */
export interface StoredEntries {
  readonly tags: ReadonlyMap<string, Descriptor>;
  /** All listed images, with and without a name. */
  readonly digests: ReadonlyMap<Digest, Descriptor>;
}

export interface StoredRepositoryOptions {
  readonly name: string;
  readonly side: Side;
  readonly files: PlaceFiles;
}

/** One repository whose content is in files on this machine, found by digest, and checked when it is read. */
export abstract class StoredRepository implements RepositoryReader {
  readonly name: string;
  protected readonly side: Side;
  protected readonly files: PlaceFiles;
  /** Content known to have the right size, or to be absent. */
  readonly #sized = new Set<Digest>();
  #referrers:
    | {
        readonly of: StoredEntries;
        readonly found: Promise<ReadonlyMap<Digest, readonly Descriptor[]>>;
      }
    | undefined;

  constructor({name, side, files}: StoredRepositoryOptions) {
    this.name = name;
    this.side = side;
    this.files = files;
  }

  abstract listTags(call: Call): Promise<readonly string[] | undefined>;

  /** The listed images; undefined: the place does not exist. */
  protected abstract entries(call: Call): Promise<StoredEntries | undefined>;

  /** The file of a blob, whether or not it exists. */
  protected abstract blobPath(digest: Digest): string | Promise<string>;

  /** The file of a manifest, whether or not it exists. */
  protected abstract manifestPath(digest: Digest): string | Promise<string>;

  async head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    const found = (await this.find(reference, call)) ?? (await this.#unlisted(reference));
    if (found === undefined) return undefined;
    // At a destination, an image with damaged parts counts as absent, so that it is written again.
    if (this.side === 'destination' && !(await this.#hasSizes(found, call))) return undefined;
    const size = await this.files.size(await this.manifestPath(found.digest));
    return size === undefined ? undefined : {...found, size};
  }

  /** Finds a manifest that is not listed, such as an image of an index. */
  async #unlisted(reference: Tag | Digest): Promise<Descriptor | undefined> {
    if (!isDigest(reference)) return undefined;
    try {
      return (await this.readManifest(reference, undefined))?.descriptor;
    } catch (error) {
      if (this.side === 'destination' && isDamage(error)) return undefined;
      throw error;
    }
  }

  async getManifest(reference: Tag | Digest, call: Call): Promise<Manifest | undefined> {
    const listed = await this.find(reference, call);
    if (listed !== undefined) return await this.readManifest(listed.digest, listed.mediaType);
    return isDigest(reference) ? await this.readManifest(reference, undefined) : undefined;
  }

  /** The referrers, found by reading all listed manifests and those below them once. */
  async listReferrers(subject: Digest, call: Call): Promise<readonly Descriptor[]> {
    const entries = await this.entries(call);
    if (entries === undefined) return [];
    if (this.#referrers?.of !== entries) {
      const read = async ({digest, mediaType}: Descriptor) =>
        await this.readManifest(digest, mediaType);
      this.#referrers = {of: entries, found: findReferrers(entries.digests.values(), read)};
    }
    // Several calls share one search, so the signal of one of them does not end it.
    const search = this.#referrers;
    try {
      const found = await search.found;
      call.signal.throwIfAborted();
      return found.get(subject) ?? [];
    } catch (error) {
      if (this.#referrers === search) this.#referrers = undefined;
      throw error;
    }
  }

  /**
   * Whether there is a file with this size, or, since the size in a manifest may be wrong, with this digest.
   * @throws TransshipError FILE_INVALID, FILE_UNREADABLE
   */
  async hasBlob(blob: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<boolean> {
    call.signal.throwIfAborted();
    return await this.#has(await this.blobPath(blob.digest), blob, call);
  }

  async blobSize(digest: Digest, call: Call): Promise<number | undefined> {
    call.signal.throwIfAborted();
    return await this.files.size(await this.blobPath(digest));
  }

  /** @throws TransshipError BLOB_NOT_FOUND, BLOB_SIZE_MISMATCH */
  async openBlob(blob: Descriptor, range: ByteRange, call: Call): Promise<BlobStream> {
    call.signal.throwIfAborted();
    const path = await this.blobPath(blob.digest);
    const size = await this.files.size(path);
    if (size === undefined) {
      throw new TransshipError('BLOB_NOT_FOUND', `${this.files.nameOf(path)} does not exist`, {
        side: this.side,
        hint: `${this.name} is incomplete; write the image into it again`,
      });
    }
    if (size !== blob.size) {
      throw new TransshipError(
        'BLOB_SIZE_MISMATCH',
        `${this.files.nameOf(path)} has ${size} bytes, the manifest says ${blob.size}`,
        {side: this.side, hint: `the file is damaged; write the image into ${this.name} again`},
      );
    }
    const end = Math.min(range.end ?? size, size);
    return {start: range.offset, end, chunks: this.files.stream(path, range.offset, end, call)};
  }

  protected async find(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    const entries = await this.entries(call);
    return isDigest(reference) ? entries?.digests.get(reference) : entries?.tags.get(reference);
  }

  /** @throws TransshipError MANIFEST_DIGEST_MISMATCH, MANIFEST_INVALID, MANIFEST_TOO_LARGE */
  protected async readManifest(
    digest: Digest,
    mediaType: string | undefined,
  ): Promise<Manifest | undefined> {
    const bytes = await this.files.read(await this.manifestPath(digest), MANIFEST_LIMIT);
    if (bytes === undefined) return undefined;
    if (!(bytes instanceof Uint8Array)) throw manifestTooLarge(digest, this.side);
    const manifest = parseManifest(bytes, mediaType, digest, this.side);
    if (manifest.descriptor.digest !== digest)
      throw this.mismatch(digest, manifest.descriptor.digest);
    return manifest;
  }

  protected mismatch(wanted: Digest, seen: Digest): TransshipError {
    return new TransshipError(
      'MANIFEST_DIGEST_MISMATCH',
      `${wanted} in ${this.name} has bytes with the digest ${seen}`,
      {side: this.side, hint: `the file is damaged; write the image into ${this.name} again`},
    );
  }

  async #has(
    path: string,
    {digest, size}: Pick<Descriptor, 'digest' | 'size'>,
    call: Call,
  ): Promise<boolean> {
    const actual = await this.files.size(path);
    if (actual === undefined || actual === size) return actual !== undefined;
    const algorithm = algorithmOf(digest);
    const hash = createHash(algorithm);
    for await (const chunk of this.files.stream(path, 0, actual, call)) hash.update(chunk);
    return finishDigest(hash, algorithm) === digest;
  }

  /**
   * Whether all existing content below a manifest has its declared size, or its digest: files may have changed since
   * they were written. Content of the right size is checked only by `verify`.
   */
  async #hasSizes(root: Descriptor, call: Call): Promise<boolean> {
    const seen = new Set<Digest>();
    const waiting = [root];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const {digest, mediaType} = next;
      if (this.#sized.has(digest) || seen.has(digest)) continue;
      seen.add(digest);
      const isManifest = isManifestType(mediaType);
      const path = await (isManifest ? this.manifestPath(digest) : this.blobPath(digest));
      if ((await this.files.size(path)) === undefined) continue;
      if (!(await this.#has(path, next, call))) return false;
      if (!isManifest) continue;
      const view = await this.#viewOf(next);
      if (view === undefined) return false;
      waiting.push(...childManifests(view), ...childBlobs(view));
    }
    for (const digest of seen) this.#sized.add(digest);
    return true;
  }

  /** The view of a manifest; undefined: the file is damaged or missing. */
  async #viewOf({digest, mediaType}: Descriptor): Promise<Manifest['view'] | undefined> {
    try {
      return (await this.readManifest(digest, mediaType))?.view;
    } catch (error) {
      if (isDamage(error)) return undefined;
      throw error;
    }
  }
}
