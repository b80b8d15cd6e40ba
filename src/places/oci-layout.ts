import {mkdir} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, isDigest} from '../model/digest.ts';
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
import type {
  BlobBody,
  BlobStream,
  ByteRange,
  Call,
  OpenBody,
  RepositoryWriter,
  SavedUpload,
  Upload,
} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {replaceFile} from './durable-file.ts';
import {isDamage, unwritable} from './file-error.ts';
import {LayoutBlobs, refuseWayOut} from './layout-blobs.ts';
import {
  type EntryTable,
  findReferrers,
  tabulate,
  withManifest,
  withoutTag,
  withTag,
} from './layout-entries.ts';
import {SCRATCH} from './layout-folder.ts';
import {type IndexEntry, LayoutIndex} from './layout-index.ts';
import {LayoutUpload} from './layout-upload.ts';

export interface OciLayoutOptions {
  /** The side to report in errors. Default: `local`. */
  readonly side?: Side;
}

/**
 * An OCI image layout in a directory, as one repository (image-spec image-layout.md). Nothing is created before
 * something is written. Several processes may write into one layout.
 */
export class OciLayout implements RepositoryWriter {
  readonly name: string;
  readonly #side: Side;
  readonly #directory: string;
  readonly #scratch: string;
  readonly #blobs: LayoutBlobs;
  readonly #index: LayoutIndex;
  /** Blobs known to have the right size, or to be absent. */
  readonly #sized = new Set<Digest>();
  #table: {readonly of: readonly IndexEntry[]; readonly table: EntryTable} | undefined;
  #referrers:
    | {readonly of: EntryTable; readonly found: Promise<ReadonlyMap<Digest, readonly Descriptor[]>>}
    | undefined;

  constructor(directory: string, options: OciLayoutOptions = {}) {
    this.name = `oci:${directory}`;
    this.#side = options.side ?? 'local';
    this.#directory = directory;
    this.#scratch = join(directory, SCRATCH);
    this.#blobs = new LayoutBlobs(directory, this.#side);
    this.#index = new LayoutIndex(directory, this.#scratch);
  }

  async listTags(call: Call): Promise<readonly string[] | undefined> {
    const table = await this.#entries(call);
    return table?.names;
  }

  async listUnnamed(call: Call): Promise<readonly Digest[]> {
    return (await this.#entries(call))?.unnamed ?? [];
  }

  async head(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    const found = (await this.#find(reference, call)) ?? (await this.#unlisted(reference));
    if (found === undefined) return undefined;
    // What is to be written is not there as long as a part of it cannot be what its name says.
    if (this.#side === 'destination' && !(await this.#hasSizes(found, call))) return undefined;
    const size = await this.#blobs.size(found.digest);
    return size === undefined ? undefined : {...found, size};
  }

  /** A manifest that the index does not list, such as an image of a list. */
  async #unlisted(reference: Tag | Digest): Promise<Descriptor | undefined> {
    if (!isDigest(reference)) return undefined;
    try {
      return (await this.#read(reference, undefined))?.descriptor;
    } catch (error) {
      if (this.#side === 'destination' && isDamage(error)) return undefined;
      throw error;
    }
  }

  async getManifest(reference: Tag | Digest, call: Call): Promise<Manifest | undefined> {
    const listed = await this.#find(reference, call);
    if (listed !== undefined) return await this.#read(listed.digest, listed.mediaType);
    return isDigest(reference) ? await this.#read(reference, undefined) : undefined;
  }

  /** All manifests that the index leads to are read once for it; the list is never undefined. */
  async listReferrers(subject: Digest, call: Call): Promise<readonly Descriptor[]> {
    const table = await this.#entries(call);
    if (table === undefined) return [];
    if (this.#referrers?.of !== table) {
      const read = async ({digest, mediaType}: Descriptor) => await this.#read(digest, mediaType);
      this.#referrers = {of: table, found: findReferrers(table.digests.values(), read)};
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

  async hasBlob(blob: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<boolean> {
    call.signal.throwIfAborted();
    return await this.#blobs.has(blob, call);
  }

  async blobSize(digest: Digest, call: Call): Promise<number | undefined> {
    call.signal.throwIfAborted();
    return await this.#blobs.size(digest);
  }

  async openBlob(blob: Descriptor, range: ByteRange, call: Call): Promise<BlobStream> {
    return await this.#blobs.open(blob, range, call);
  }

  /** A layout finds referrers by looking, so the subject is always kept. */
  async putManifest(
    reference: Tag | Digest,
    manifest: Manifest,
    call: Call,
  ): Promise<{readonly subjectKept: boolean}> {
    call.signal.throwIfAborted();
    const {digest, size} = manifest.descriptor;
    if (isDigest(reference) && reference !== digest) throw this.#mismatch(reference, digest);
    const path = this.#blobs.path(digest);
    try {
      const there = await this.#blobs.read(digest, size);
      await this.#refuseWayOut(path);
      if (!(there instanceof Uint8Array && Buffer.compare(there, manifest.bytes) === 0)) {
        await mkdir(this.#scratch, {recursive: true});
        await mkdir(dirname(path), {recursive: true});
        await replaceFile(path, manifest.bytes, this.#scratch);
      }
    } catch (error) {
      throw unwritable(path, error);
    }
    const parts = await this.#partsOf(manifest);
    await this.#index.update(
      isDigest(reference) ? withManifest(manifest, parts) : withTag(manifest, reference, parts),
    );
    return {subjectKept: true};
  }

  async putBlob(blob: Descriptor, open: OpenBody, call: Call): Promise<void> {
    const upload = await this.beginUpload(blob, call);
    try {
      await upload.append(chunksOf(await open()), blob.size, call);
      await upload.commit(blob, call);
    } catch (error) {
      await upload.cancel(call);
      throw error;
    }
  }

  async beginUpload(blob: Descriptor, call: Call): Promise<Upload> {
    call.signal.throwIfAborted();
    await this.#refuseWayOut(this.#blobs.path(blob.digest));
    return await LayoutUpload.begin(this.#scratch, this.#blobs.path(blob.digest), blob.digest);
  }

  async resumeUpload(saved: SavedUpload, call: Call): Promise<Upload | undefined> {
    call.signal.throwIfAborted();
    await this.#refuseWayOut(this.#blobs.path(saved.digest));
    return await LayoutUpload.resume(this.#scratch, this.#blobs.path(saved.digest), saved);
  }

  async deleteTag(tag: Tag, call: Call): Promise<void> {
    if ((await this.#find(tag, call)) !== undefined) await this.#index.update(withoutTag(tag));
  }

  async #entries(call: Call): Promise<EntryTable | undefined> {
    call.signal.throwIfAborted();
    const entries = await this.#index.entries();
    if (entries === undefined) return undefined;
    if (this.#table?.of !== entries) this.#table = {of: entries, table: tabulate(entries)};
    return this.#table.table;
  }

  async #find(reference: Tag | Digest, call: Call): Promise<Descriptor | undefined> {
    const table = await this.#entries(call);
    return isDigest(reference) ? table?.digests.get(reference) : table?.tags.get(reference);
  }

  async #read(digest: Digest, mediaType: string | undefined): Promise<Manifest | undefined> {
    const bytes = await this.#blobs.read(digest, MANIFEST_LIMIT);
    if (bytes === undefined) return undefined;
    if (!(bytes instanceof Uint8Array)) throw manifestTooLarge(digest, this.#side);
    const manifest = parseManifest(bytes, mediaType, digest, this.#side);
    if (manifest.descriptor.digest !== digest)
      throw this.#mismatch(digest, manifest.descriptor.digest);
    return manifest;
  }

  /**
   * The children that belong to an index alone. The index of a fallback tag only tells of referrers, which must be found
   * without it, too; they have an artifact type and no platform there (distribution-spec, "Referrers Tag Schema").
   */
  async #partsOf({view}: Manifest): Promise<ReadonlySet<Digest>> {
    const parts = new Set<Digest>();
    for (const {digest, mediaType, platform, artifactType} of childManifests(view)) {
      if (platform === undefined && artifactType !== undefined) {
        const child = (await this.#read(digest, mediaType))?.view;
        if (child?.kind !== 'schema1' && child?.subject !== undefined) continue;
      }
      parts.add(digest);
    }
    return parts;
  }

  /** Before something is written there, by way of the folder for what is unfinished. */
  async #refuseWayOut(path: string): Promise<void> {
    for (const each of [this.#scratch, path]) await refuseWayOut(this.#directory, each, this.#side);
  }

  /**
   * Whether everything below a manifest has the declared size, or its digest, as far as it exists: files may have changed since they
   * were written. `verify` checks their content.
   */
  async #hasSizes(root: Descriptor, call: Call): Promise<boolean> {
    const seen = new Set<Digest>();
    const waiting = [root];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (this.#sized.has(next.digest) || seen.has(next.digest)) continue;
      seen.add(next.digest);
      const size = await this.#blobs.size(next.digest);
      if (size !== undefined && !(await this.#blobs.has(next, call))) return false;
      if (size !== undefined && isManifestType(next.mediaType)) {
        const view = await this.#viewOf(next);
        if (view === undefined) return false;
        waiting.push(...childManifests(view), ...childBlobs(view));
      }
    }
    for (const digest of seen) this.#sized.add(digest);
    return true;
  }

  /** Undefined: it is no manifest, or another one. */
  async #viewOf({digest, mediaType}: Descriptor): Promise<Manifest['view'] | undefined> {
    try {
      return (await this.#read(digest, mediaType))?.view;
    } catch (error) {
      if (isDamage(error)) return undefined;
      throw error;
    }
  }

  #mismatch(wanted: Digest, seen: Digest): TransshipError {
    return new TransshipError(
      'MANIFEST_DIGEST_MISMATCH',
      `${wanted} in ${this.name} has bytes with the digest ${seen}`,
      {side: this.#side, hint: 'the file is damaged; write the image into the layout again'},
    );
  }
}

async function* chunksOf(body: BlobBody): AsyncGenerator<Uint8Array, void, undefined> {
  if (body instanceof Uint8Array) yield body;
  else yield* body;
}
