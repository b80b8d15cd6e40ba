import type PQueue from 'p-queue';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {type ErrorData, errorData} from '../model/event.ts';
import {childBlobs, childManifests, type ManifestView} from '../model/manifest.ts';
import {isForeignLayerType} from '../model/media-type.ts';
import type {WishFilters} from '../model/plan.ts';
import {
  formatPlatform,
  isAttestationPlatform,
  parsePlatform,
  type Platform,
} from '../model/platform.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {mapInQueue} from '../observe/at-once.ts';
import {ManifestReader} from '../observe/manifest-reader.ts';
import {OBSERVE_CONCURRENCY} from '../observe/observe-source.ts';
import {readConfigs} from '../observe/read-configs.ts';
import {tagsTooOld, timeOf} from '../plan/age.ts';
import {compareText} from '../plan/compare.ts';
import {choosePlatforms} from '../plan/platforms.ts';
import type {BlobTable} from './blob-table.ts';
import type {ImagesInventory} from './inventory.ts';

/** The images of one repository. */
export interface RepositoryImages {
  /** The number of tags that the filters by age and platform select. */
  readonly selected: number;
  /** Without `sharedBytes`, which is known only after all repositories were read. */
  readonly images: Omit<ImagesInventory, 'sharedBytes'>;
  /** The blobs, by their numbers in the table. */
  readonly blobs: Uint32Array;
}

/** What all repositories of an inventory share. */
export interface SharedReading {
  readonly table: BlobTable;
  /** Limits the tags that are read concurrently. */
  readonly queue: PQueue;
  /** Tags that could not be read so far. */
  unreadable: number;
}

/** Tags of all repositories that cannot be read: each is reported with its error. */
const UNREADABLE_LIMIT = 50_000;

/** A tag and its digest. */
interface TaggedRoot {
  readonly tag: Tag;
  readonly digest: Digest;
}

/** A root, with the manifests that the filter by platform selects. */
interface SelectedRoot extends TaggedRoot {
  readonly parts: readonly Digest[];
}

/** What was read of a repository's images. */
interface Facts {
  readonly reader: ManifestReader;
  /** When images were created (ISO 8601), and their platforms, as their configs say. */
  readonly created: Map<Digest, string>;
  readonly platformOf: Map<Digest, Platform>;
  readonly unreadable: {tag: string; error: ErrorData}[];
}

/**
 * Reads the manifests of these tags and one config for each image, and returns only numbers. Referrers are not searched
 * for; those with tags count as images.
 * @throws TransshipError if the registry fails; a tag that cannot be read is part of the result, up to the limit above
 */
export async function readImages(
  source: RepositoryReader,
  tags: readonly Tag[],
  filters: WishFilters,
  shared: SharedReading,
  call: Call,
): Promise<RepositoryImages> {
  const facts: Facts = {
    reader: new ManifestReader(source, new Map(), {
      concurrency: OBSERVE_CONCURRENCY,
      keepsIndexes: false,
    }),
    created: new Map(),
    platformOf: new Map(),
    unreadable: [],
  };
  const roots = await readRoots(source, tags, facts, shared, call);
  const tooOld = tagsTooOld(roots, facts.created, filters);
  const left = roots.filter(({tag}) => !tooOld.has(tag));
  const wanted = (filters.platforms ?? []).map(parsePlatform);
  const chosen = left.flatMap((root) => chosenOf(root, wanted, facts));
  return {
    selected: tags.length - tooOld.size - (left.length - chosen.length),
    ...describe(chosen, facts, shared.table),
  };
}

/** Reads the config of each image directly after its manifest, so that few manifests are in memory at a time. */
async function readRoots(
  source: RepositoryReader,
  tags: readonly Tag[],
  {reader, created, platformOf, unreadable}: Facts,
  shared: SharedReading,
  call: Call,
): Promise<readonly TaggedRoot[]> {
  const configured = new Set<Digest>();
  const read = async (tag: Tag): Promise<TaggedRoot> => {
    const digest = await reader.readImage(tag, call);
    if (digest === undefined) throw goneTag(source, tag);
    if (configured.has(digest)) return {tag, digest};
    configured.add(digest);
    const said = await readConfigs(
      source,
      [{digest, as: 'asked'}],
      reader.manifests,
      {times: true, platforms: true},
      call,
    );
    for (const [of, time] of said.created) created.set(of, time);
    for (const [of, platform] of said.platformOf) platformOf.set(of, platform);
    return {tag, digest};
  };
  const roots = await mapInQueue(
    shared.queue,
    tags,
    async (tag): Promise<readonly TaggedRoot[]> => {
      try {
        return [await read(tag)];
      } catch (error) {
        unreadable.push({tag, error: asUnreadable(error)});
        if (++shared.unreadable > UNREADABLE_LIMIT) throw tooManyUnreadable(source);
        return [];
      }
    },
  );
  return roots.flat();
}

function tooManyUnreadable({name}: RepositoryReader): TransshipError {
  const message = `${name} is left out: more than ${UNREADABLE_LIMIT} tags of this inventory cannot be read`;
  return new TransshipError('RESPONSE_INVALID', message, {
    side: 'source',
    hint: 'add a part of the path after the host, such as host/team, or use --depth tags',
  });
}

/** The image with the parts that the platform filter selects; empty: it has none of these platforms. */
function chosenOf(
  {tag, digest}: TaggedRoot,
  wanted: readonly Platform[],
  {reader, platformOf}: Facts,
): readonly SelectedRoot[] {
  const manifest = reader.manifests.get(digest);
  if (manifest === undefined) return [];
  const find = (part: Digest) => reader.manifests.get(part);
  const choice = choosePlatforms(manifest, {wanted, find, platformOf});
  if (choice.kind === 'none') return [];
  return [{tag, digest, parts: choice.kind === 'cut' ? choice.keep : [choice.digest]}];
}

function describe(
  chosen: readonly SelectedRoot[],
  {reader, created, platformOf, unreadable}: Facts,
  table: BlobTable,
): Pick<RepositoryImages, 'images' | 'blobs'> {
  const graph = new Set(reader.graph(chosen.flatMap(({parts}) => parts)));
  const platforms = new Set<string>();
  const blobs = table.open();
  for (const digest of graph) {
    const own = platformOf.get(digest);
    if (own) platforms.add(formatPlatform(own));
    const view = reader.manifests.get(digest)?.view;
    if (view === undefined) continue;
    for (const platform of listedPlatforms(view, graph)) platforms.add(platform);
    for (const {digest: blob, size, mediaType, urls} of childBlobs(view))
      if (!isForeignLayerType(mediaType) && !urls?.length) blobs.add(blob, size);
  }
  const [newest] = chosen.toSorted(
    (a, b) => timeOf(b.digest, created) - timeOf(a.digest, created) || compareText(a.tag, b.tag),
  );
  const time = newest && created.get(newest.digest);
  return {
    images: {
      count: new Set(chosen.map(({digest}) => digest)).size,
      platforms: [...platforms].sort(compareText),
      bytes: blobs.bytes,
      ...(newest && time !== undefined ? {newest: {tag: newest.tag, created: time}} : {}),
      unreadable: unreadable.toSorted((a, b) => compareText(a.tag, b.tag)),
    },
    blobs: Uint32Array.from(blobs.numbers),
  };
}

/** The platforms that an index names for those of its manifests that are counted. */
function listedPlatforms(view: ManifestView, counted: ReadonlySet<Digest>): readonly string[] {
  return childManifests(view).flatMap(({digest, platform}) =>
    platform && counted.has(digest) && !isAttestationPlatform(platform)
      ? [formatPlatform(platform)]
      : [],
  );
}

/** Failures that concern the image of one tag. */
const OF_ONE_TAG = /^(?:MANIFEST|CONFIG|BLOB)_/;

/**
 * The error of a tag that cannot be read, which must not prevent reading the others.
 * @throws all other errors, which concern the registry
 */
function asUnreadable(error: unknown): ErrorData {
  if (!(error instanceof TransshipError) || !OF_ONE_TAG.test(error.code)) throw error;
  return errorData(error);
}

function goneTag({name}: RepositoryReader, tag: Tag): TransshipError {
  const message = `${name}:${tag} is listed, but the source does not have its manifest`;
  return new TransshipError('MANIFEST_NOT_FOUND', message, {
    side: 'source',
    hint: 'the tag was just deleted, or its manifest was lost; push the image again',
  });
}
