import {algorithmOf, type Digest, hexOf, isDigest} from '../model/digest.ts';
import type {Side} from '../model/error.ts';
import {childManifests, type Manifest} from '../model/manifest.ts';
import type {Call} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {DirectoryRepository} from './directory-repository.ts';
import {type EntryTable, tabulate, withManifest, withoutTag, withTag} from './layout-entries.ts';
import {type IndexEntry, LayoutIndex} from './layout-index.ts';

/** Options of a layout. */
export interface OciLayoutOptions {
  /** The side to report in errors. Default: `local`. */
  readonly side?: Side;
  /** The name in messages. Default: `oci:DIR`. */
  readonly name?: string;
}

/**
 * An OCI image layout in a directory, as one repository (image-spec image-layout.md). Several processes may write into
 * one layout.
 */
export class OciLayout extends DirectoryRepository {
  readonly #index: LayoutIndex;
  #table: {readonly of: readonly IndexEntry[]; readonly table: EntryTable} | undefined;

  constructor(directory: string, options: OciLayoutOptions = {}) {
    super(options.name ?? `oci:${directory}`, directory, options.side ?? 'local');
    this.#index = new LayoutIndex(directory, this.scratch);
  }

  async listTags(call: Call): Promise<readonly string[] | undefined> {
    return (await this.entries(call))?.names;
  }

  async listUnnamed(call: Call): Promise<readonly Digest[]> {
    return (await this.entries(call))?.unnamed ?? [];
  }

  /** Referrers are found by reading manifests, so the subject is always kept. */
  async putManifest(
    reference: Tag | Digest,
    manifest: Manifest,
    call: Call,
  ): Promise<{readonly subjectKept: boolean}> {
    call.signal.throwIfAborted();
    const {digest} = manifest.descriptor;
    if (isDigest(reference) && reference !== digest) throw this.mismatch(reference, digest);
    await this.writeManifest(this.manifestPath(digest), manifest);
    const parts = await this.#partsOf(manifest);
    await this.#index.update(
      isDigest(reference) ? withManifest(manifest, parts) : withTag(manifest, reference, parts),
    );
    return {subjectKept: true};
  }

  async deleteTag(tag: Tag, call: Call): Promise<void> {
    if ((await this.find(tag, call)) !== undefined) await this.#index.update(withoutTag(tag));
  }

  protected async entries(call: Call): Promise<EntryTable | undefined> {
    call.signal.throwIfAborted();
    const entries = await this.#index.entries();
    if (entries === undefined) return undefined;
    if (this.#table?.of !== entries) this.#table = {of: entries, table: tabulate(entries)};
    return this.#table.table;
  }

  protected blobPath(digest: Digest): string {
    return layoutPath(digest);
  }

  protected manifestPath(digest: Digest): string {
    return layoutPath(digest);
  }

  /**
   * The children of an index that need no entries of their own. The index of a fallback tag only lists referrers, which
   * must be found without it, too; it gives them an artifact type and no platform (distribution-spec, "Referrers Tag
   * Schema").
   */
  async #partsOf({view}: Manifest): Promise<ReadonlySet<Digest>> {
    const parts = new Set<Digest>();
    for (const {digest, mediaType, platform, artifactType} of childManifests(view)) {
      if (platform === undefined && artifactType !== undefined) {
        const child = (await this.readManifest(digest, mediaType))?.view;
        if (child?.kind !== 'schema1' && child?.subject !== undefined) continue;
      }
      parts.add(digest);
    }
    return parts;
  }
}

/** The path of a manifest or blob in a layout (image-spec image-layout.md, "Blobs"). */
export function layoutPath(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}
