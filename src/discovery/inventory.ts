import type {Digest} from '../model/digest.ts';
import {asTransshipError, TransshipError} from '../model/error.ts';
import type {ErrorData} from '../model/event.ts';
import {isInterrupted} from '../model/interrupted.ts';
import {childBlobs, childManifests, type ManifestView} from '../model/manifest.ts';
import {isForeignLayerType} from '../model/media-type.ts';
import type {WishFilters} from '../model/plan.ts';
import {
  formatPlatform,
  isAttestationPlatform,
  parsePlatform,
  type Platform,
} from '../model/platform.ts';
import type {Call, ListedRepository, RepositoryReader, UnlistedPart} from '../model/port.ts';
import {isRepositoryPath, type RepositoryPath, type Tag} from '../model/reference.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {ManifestReader} from '../observe/manifest-reader.ts';
import {OBSERVE_CONCURRENCY} from '../observe/observe-source.ts';
import {readConfigs} from '../observe/read-configs.ts';
import {tagsTooOld, timeOf} from '../plan/age.ts';
import {compareText} from '../plan/compare.ts';
import {tagSelector} from '../plan/filters.ts';
import {choosePlatforms} from '../plan/platforms.ts';
import {BlobTable} from './blob-table.ts';

/** How closely repositories are looked at: their lists of tags alone, or manifests and configs too. */
export type InventoryDepth = 'tags' | 'images';

/** What a host has. Sizes are in bytes, of configs and layers as they are stored, compressed. */
export interface Inventory {
  /** `host[:port]` of references. */
  readonly host: string;
  /** Only what is there or below it was looked at; empty: all of the host. */
  readonly prefix: string;
  readonly depth: InventoryDepth;
  /** In the order of their names. */
  readonly repositories: readonly RepositoryInventory[];
  /** Parts of the host whose repositories could not be listed. */
  readonly unlisted: readonly {readonly part: string; readonly error: ErrorData}[];
  readonly totals: InventoryTotals;
}

export interface RepositoryInventory {
  /** The path without the host. */
  readonly repository: string;
  /** When something in it changed last (ISO 8601), where the list of repositories says so. */
  readonly updated?: string;
  /** Why it could not be read; the other members are absent then. */
  readonly error?: ErrorData;
  /** Tags that are listed, and those that the filters leave. */
  readonly tags?: number;
  readonly selected?: number;
  /** What the selected tags point to. Only at depth `images`. */
  readonly images?: ImagesInventory;
}

export interface ImagesInventory {
  /** Distinct manifests that the selected tags point to. */
  readonly count: number;
  /** `os/architecture[/variant]`, sorted. */
  readonly platforms: readonly string[];
  /** Of the repository's distinct blobs. */
  readonly bytes: number;
  /** Of those, the ones that another repository of the inventory has, too. */
  readonly sharedBytes: number;
  /** The image whose config has the latest time of creation. */
  readonly newest?: {readonly tag: string; readonly created: string};
  /** Selected tags that cannot be read. */
  readonly unreadable: readonly {readonly tag: string; readonly error: ErrorData}[];
}

export interface InventoryTotals {
  readonly repositories: number;
  /** Repositories that could not be read, at all or in part, and parts of the host that could not be listed. */
  readonly failed: number;
  readonly tags: number;
  readonly selected: number;
  /** Absent at depth `tags`, as all below. */
  readonly images?: number;
  /** Distinct blobs, and their bytes: each once, however many repositories have it. */
  readonly blobs?: number;
  readonly bytes?: number;
  /** What the repositories' own sizes add up to beyond `bytes`. */
  readonly sharedBytes?: number;
}

export interface InventoryQuestion {
  readonly host: string;
  readonly prefix: string;
  readonly depth: InventoryDepth;
  readonly filters: WishFilters;
  readonly repositories: readonly ListedRepository[];
  readonly unlisted: readonly UnlistedPart[];
  readonly open: (path: RepositoryPath) => RepositoryReader;
  readonly progress: (done: number, total: number) => void;
}

/** Repositories that are looked at at once; each asks for several things, and the host's own limit is below that. */
const REPOSITORIES_AT_ONCE = 16;

/**
 * Looks at repositories. One that cannot be read is in the result with its error.
 * @throws TransshipError FILTER_INVALID, PLATFORM_INVALID, before anything is asked; INTERRUPTED
 */
export async function takeInventory(question: InventoryQuestion, call: Call): Promise<Inventory> {
  const {repositories, unlisted, host, prefix, depth} = question;
  const taker = new InventoryTaker(question, call);
  let done = 0;
  const taken = await mapAtOnce(repositories, REPOSITORIES_AT_ONCE, async (listed) => {
    const one = await taker.take(listed);
    question.progress((done += 1), repositories.length);
    return one;
  });
  const found = taken.map(({row, blobs}) => taker.finished(row, blobs));
  return {
    host,
    prefix,
    depth,
    repositories: found,
    unlisted: unlisted.map(({part, error}) => ({part, error: dataOf(error)})),
    totals: taker.totals(found, unlisted.length),
  };
}

/** A repository that was looked at, and its blobs by their numbers in the table. */
interface Taken {
  readonly row: RepositoryInventory;
  readonly blobs: readonly number[];
}

/** Looks at the repositories of one inventory, and counts blobs over all of them. */
class InventoryTaker {
  readonly #question: InventoryQuestion;
  readonly #call: Call;
  readonly #select: ReturnType<typeof tagSelector>;
  readonly #platforms: readonly Platform[];
  readonly #table = new BlobTable();

  constructor(question: InventoryQuestion, call: Call) {
    this.#question = question;
    this.#call = call;
    this.#select = tagSelector(question.filters);
    this.#platforms = (question.filters.platforms ?? []).map(parsePlatform);
    // Checks the filters by age.
    tagsTooOld([], new Map(), question.filters);
  }

  async take({repository, updated}: ListedRepository): Promise<Taken> {
    const known = {repository, ...(updated === undefined ? {} : {updated})};
    try {
      if (!isRepositoryPath(repository)) throw invalidName(repository);
      const {blobs, ...seen} = await this.#look(this.#question.open(repository));
      return {row: {...known, ...seen}, blobs};
    } catch (error) {
      this.#call.signal.throwIfAborted();
      if (isInterrupted(error) || !(error instanceof TransshipError)) throw error;
      return {row: {...known, error: dataOf(error)}, blobs: []};
    }
  }

  /** With what can be told only when all repositories were looked at. */
  finished(row: RepositoryInventory, blobs: readonly number[]): RepositoryInventory {
    if (row.images === undefined) return row;
    return {...row, images: {...row.images, sharedBytes: this.#table.sharedBytes(blobs)}};
  }

  totals(repositories: readonly RepositoryInventory[], unlisted: number): InventoryTotals {
    const sum = (of: (one: RepositoryInventory) => number | undefined): number =>
      repositories.reduce((total, one) => total + (of(one) ?? 0), 0);
    const isFailed = ({error, images}: RepositoryInventory): boolean =>
      error !== undefined || (images?.unreadable.length ?? 0) > 0;
    const {count: blobs, bytes} = this.#table;
    return {
      repositories: repositories.length,
      failed: repositories.filter(isFailed).length + unlisted,
      tags: sum(({tags}) => tags),
      selected: sum(({selected}) => selected),
      ...(this.#question.depth === 'tags'
        ? {}
        : {
            images: sum(({images}) => images?.count),
            blobs,
            bytes,
            sharedBytes: sum(({images}) => images?.bytes) - bytes,
          }),
    };
  }

  async #look(
    source: RepositoryReader,
  ): Promise<Omit<RepositoryInventory, 'repository'> & Pick<Taken, 'blobs'>> {
    const names = await source.listTags(this.#call);
    if (names === undefined) throw notFound(source);
    const {selected} = this.#select(names);
    const tags = new Set(names).size;
    if (this.#question.depth === 'tags') return {tags, selected: selected.length, blobs: []};
    const {kept, blobs, images} = await this.#lookInside(source, selected);
    return {tags, selected: kept, images, blobs};
  }

  async #lookInside(source: RepositoryReader, tags: readonly Tag[]) {
    const reader = new ManifestReader(source, new Map(), OBSERVE_CONCURRENCY);
    const unreadable: {tag: string; error: ErrorData}[] = [];
    const read = async (tag: Tag): Promise<{tag: Tag; digest: Digest}[]> => {
      const digest = await this.#orUnreadable(unreadable, tag, () =>
        reader.readImage(tag, this.#call),
      );
      if (digest === undefined) return [];
      return [{tag, digest}];
    };
    const roots = (await mapAtOnce(tags, OBSERVE_CONCURRENCY, read)).flat();
    const created = new Map<Digest, string>();
    const platformOf = new Map<Digest, Platform>();
    const tagOf = new Map(roots.map(({tag, digest}) => [digest, tag]));
    await mapAtOnce(tagOf, OBSERVE_CONCURRENCY, async ([digest, tag]) => {
      const root = {digest, as: 'asked'} as const;
      await this.#orUnreadable(unreadable, tag, async () => {
        const said = await readConfigs(source, [root], reader.manifests, this.#call);
        for (const [of, time] of said.created) created.set(of, time);
        for (const [of, platform] of said.platformOf) platformOf.set(of, platform);
        return digest;
      });
    });
    const tooOld = tagsTooOld(roots, created, this.#question.filters);
    const facts = {reader, created, platformOf};
    const left = roots.filter(({tag}) => !tooOld.has(tag));
    const chosen = left.flatMap((root) => this.#chosen(root, facts));
    const kept = tags.length - tooOld.size - (left.length - chosen.length);
    return {kept, ...this.#described(chosen, facts, unreadable)};
  }

  /** What the filter by platform leaves of an image: the manifests that count; none: nothing is for these platforms. */
  #chosen({tag, digest}: Root, {reader, platformOf}: Facts): Chosen[] {
    const manifest = reader.manifests.get(digest);
    if (manifest === undefined) return [];
    const find = (wanted: Digest) => reader.manifests.get(wanted);
    const choice = choosePlatforms(manifest, {wanted: this.#platforms, find, platformOf});
    if (choice.kind === 'none') return [];
    return [{tag, digest, parts: choice.kind === 'cut' ? choice.keep : [choice.digest]}];
  }

  #described(
    chosen: readonly Chosen[],
    {reader, created, platformOf}: Facts,
    unreadable: ImagesInventory['unreadable'],
  ) {
    const graph = reader.graph(chosen.flatMap(({parts}) => parts));
    const platforms = new Set<string>();
    const blobs = this.#table.open();
    for (const digest of graph) {
      const own = platformOf.get(digest);
      if (own) platforms.add(formatPlatform(own));
      const view = reader.manifests.get(digest)?.view;
      if (view === undefined) continue;
      for (const platform of listedPlatforms(view, new Set(graph))) platforms.add(platform);
      for (const {digest: blob, size, mediaType, urls} of childBlobs(view))
        if (!isForeignLayerType(mediaType) && !urls?.length) blobs.add(blob, size);
    }
    const [newest] = chosen.toSorted(
      (a, b) => timeOf(b.digest, created) - timeOf(a.digest, created) || compareText(a.tag, b.tag),
    );
    const time = newest && created.get(newest.digest);
    const images: ImagesInventory = {
      count: new Set(chosen.map(({digest}) => digest)).size,
      platforms: [...platforms].sort(compareText),
      bytes: blobs.bytes,
      sharedBytes: 0,
      ...(newest && time !== undefined ? {newest: {tag: newest.tag, created: time}} : {}),
      unreadable: unreadable.toSorted((a, b) => compareText(a.tag, b.tag)),
    };
    return {images, blobs: blobs.numbers};
  }

  /** One tag that cannot be read must not hide the others; a registry that fails does. */
  async #orUnreadable(
    unreadable: {tag: string; error: ErrorData}[],
    tag: Tag,
    read: () => Promise<Digest | undefined>,
  ): Promise<Digest | undefined> {
    try {
      const digest = await read();
      if (digest === undefined) unreadable.push({tag, error: dataOf(goneTag(tag))});
      return digest;
    } catch (error) {
      if (!(error instanceof TransshipError) || !OF_ONE_TAG.test(error.code)) throw error;
      unreadable.push({tag, error: dataOf(error)});
      return undefined;
    }
  }
}

interface Root {
  readonly tag: Tag;
  readonly digest: Digest;
}

interface Chosen extends Root {
  readonly parts: readonly Digest[];
}

interface Facts {
  readonly reader: ManifestReader;
  readonly created: ReadonlyMap<Digest, string>;
  readonly platformOf: ReadonlyMap<Digest, Platform>;
}

/** Failures that are about what a tag points to. */
const OF_ONE_TAG = /^(?:MANIFEST|CONFIG|BLOB)_/;

/** The platforms that an index names for those of its manifests that count. */
function listedPlatforms(view: ManifestView, counted: ReadonlySet<Digest>): readonly string[] {
  return childManifests(view).flatMap(({digest, platform}) =>
    platform && counted.has(digest) && !isAttestationPlatform(platform)
      ? [formatPlatform(platform)]
      : [],
  );
}

function dataOf(error: unknown): ErrorData {
  const {code, side, message, hint} = asTransshipError(error, 'source');
  return {code, side, message, hint};
}

function goneTag(tag: Tag): TransshipError {
  return new TransshipError('MANIFEST_NOT_FOUND', `the source lists ${tag} and has no manifest`, {
    side: 'source',
    hint: 'the tag was deleted a moment ago, or its manifest was lost; push the image again',
  });
}

function notFound({name}: RepositoryReader): TransshipError {
  return new TransshipError('REPOSITORY_NOT_FOUND', `${name} does not exist`, {
    side: 'source',
    hint: 'check the name; some registries also respond this way if the login has no access to the repository',
  });
}

function invalidName(repository: string): TransshipError {
  return new TransshipError('REFERENCE_INVALID', `"${repository}" is not a repository name`, {
    side: 'source',
    hint: 'no client can read a repository of this name; rename it at the source',
  });
}
