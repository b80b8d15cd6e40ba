import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import {childManifests, type Manifest} from '../model/manifest.ts';
import type {IndexChange, IndexEntry} from './layout-index.ts';
import {isArtifactType, isImageType, isIndexType} from '../model/media-type.ts';

/** The annotation with the tag of an entry (image-spec annotations.md, "Pre-Defined Annotation Keys"). */
export const REF_NAME = 'org.opencontainers.image.ref.name';

/** The entries of an index, by tag and by digest. */
export interface EntryTable {
  /** In the order of the index. */
  readonly tags: ReadonlyMap<string, Descriptor>;
  /** All names in the order of the index, also of entries whose kind of digest is not known. */
  readonly names: readonly string[];
  /** Entries that no name identifies, in the order of the index. */
  readonly unnamed: readonly Digest[];
  readonly digests: ReadonlyMap<Digest, Descriptor>;
}

/**
 * If entries have the same tag or digest, the first one counts. An entry with an unknown digest algorithm is skipped.
 */
export function tabulate(entries: readonly IndexEntry[]): EntryTable {
  const tags = new Map<string, Descriptor>();
  const digests = new Map<Digest, Descriptor>();
  const names = new Set<string>();
  for (const entry of entries) {
    const descriptor = descriptorOf(entry);
    const tag = tagOf(entry);
    if (tag !== undefined) names.add(tag);
    if (descriptor === undefined) continue;
    if (tag !== undefined && !tags.has(tag)) tags.set(tag, descriptor);
    if (!digests.has(descriptor.digest)) digests.set(descriptor.digest, descriptor);
  }
  const named = new Set([...tags.values()].map(({digest}) => digest));
  const unnamed = [...digests.keys()].filter((digest) => !named.has(digest));
  return {tags, names: [...names], unnamed, digests};
}

/**
 * Points `tag` to the manifest; the entry that had the tag is removed.
 * @param parts children of the manifest that need no entry of their own
 */
export function withTag(manifest: Manifest, tag: string, parts: ReadonlySet<string>): IndexChange {
  return (entries) => {
    const isTagged = (entry: IndexEntry): boolean => tagOf(entry) === tag;
    const fresh = entryOf(manifest, tag);
    const old = entries.find(isTagged);
    if (old?.digest === fresh.digest) return entries;
    const at = old === undefined ? entries.length : entries.indexOf(old);
    const kept = (entry: IndexEntry): boolean => !isTagged(entry) && !isBare(entry, fresh.digest);
    return without(parts, [
      ...entries.slice(0, at).filter(kept),
      fresh,
      ...entries.slice(at).filter(kept),
    ]);
  };
}

/**
 * Lists the manifest without a tag, so that it can be found, unless it is listed already.
 * @param parts children of the manifest that need no entry of their own
 */
export function withManifest(manifest: Manifest, parts: ReadonlySet<string>): IndexChange {
  return (entries) =>
    entries.some((entry) => entry.digest === manifest.descriptor.digest)
      ? entries
      : without(parts, [...entries, entryOf(manifest)]);
}

/** Removes the tag. The manifest remains listed. */
export function withoutTag(tag: string): IndexChange {
  return (entries) => {
    const kept = entries.filter((entry) => tagOf(entry) !== tag);
    const removed = entries.find((entry) => tagOf(entry) === tag);
    if (removed === undefined || kept.some(({digest}) => digest === removed.digest)) return kept;
    const {annotations: {[REF_NAME]: _tag, ...annotations} = {}, ...rest} = removed;
    return [...kept, Object.keys(annotations).length > 0 ? {...rest, annotations} : rest];
  };
}

/** Children of an index need no entries of their own: they were pushed before it and listed until now. */
function without(
  parts: ReadonlySet<string>,
  entries: readonly IndexEntry[],
): readonly IndexEntry[] {
  return entries.filter((entry) => !(parts.has(entry.digest) && isBare(entry, entry.digest)));
}

/** Whether the entry lists `digest` without further information. */
function isBare(entry: IndexEntry, digest: string): boolean {
  return entry.digest === digest && Object.keys(entry.annotations ?? {}).length === 0;
}

function entryOf({descriptor}: Manifest, tag?: string): IndexEntry {
  const {mediaType, digest, size, artifactType} = descriptor;
  return {
    mediaType,
    digest,
    size,
    ...(artifactType === undefined ? {} : {artifactType}),
    ...(tag === undefined ? {} : {annotations: {[REF_NAME]: tag}}),
  };
}

function tagOf(entry: IndexEntry): string | undefined {
  return entry.annotations?.[REF_NAME];
}

function descriptorOf({mediaType, digest, size, artifactType}: IndexEntry): Descriptor | undefined {
  if (!isDigest(digest)) return undefined;
  return {mediaType, digest, size, ...(artifactType === undefined ? {} : {artifactType})};
}

/** Reads a manifest; undefined: not found. */
export type ReadManifest = (descriptor: Descriptor) => Promise<Manifest | undefined>;

/**
 * Finds all referrers below `roots` by reading each manifest once, since a layout has no list of referrers.
 * @returns descriptors by subject, as the referrers API would list them (distribution-spec, "Listing Referrers")
 */
export async function findReferrers(
  roots: Iterable<Descriptor>,
  read: ReadManifest,
): Promise<ReadonlyMap<Digest, readonly Descriptor[]>> {
  const referrers = new Map<Digest, Descriptor[]>();
  const seen = new Set<Digest>();
  const pending = [...roots];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (seen.has(next.digest) || !isReadable(next)) continue;
    seen.add(next.digest);
    const manifest = await read(next);
    if (manifest === undefined) continue;
    pending.push(...childManifests(manifest.view));
    const {subject, annotations} = manifest.view.kind === 'schema1' ? {} : manifest.view;
    if (subject === undefined) continue;
    const listed = {...manifest.descriptor, ...(annotations === undefined ? {} : {annotations})};
    const others = referrers.get(subject.digest);
    if (others === undefined) referrers.set(subject.digest, [listed]);
    else others.push(listed);
  }
  return referrers;
}

/** Only these have a subject; a layout may list content of any type. */
function isReadable({mediaType}: Descriptor): boolean {
  return isImageType(mediaType) || isIndexType(mediaType) || isArtifactType(mediaType);
}
