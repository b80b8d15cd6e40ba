import PQueue from 'p-queue';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {ErrorData} from '../model/event.ts';
import {foreignLayers} from '../model/foreign-layers.ts';
import {childManifests, type SeenManifest} from '../model/manifest.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {mapAtOnce} from './at-once.ts';
import {asUnreadable} from './inventory.ts';
import {SeenManifests, type ManifestBudget} from './seen-manifests.ts';

/** What the destination has for tags of the source; the request may be in progress. */
export type KnownTags = ReadonlyMap<Tag, Digest | Promise<Digest | undefined>>;

/**
 * Maximum nesting of indexes in one image. Real indexes have one level, of platforms; an index of such indexes has two.
 * Code that walks a graph may recurse within this limit.
 */
export const MANIFEST_NESTING_LIMIT = 32;
/** Maximum bytes of the manifests of one image. An index of fifty platforms with their attestations is below 1 MiB. */
const IMAGE_LIMIT = 16 * 1024 * 1024;

/**
 * Limits, in bytes, for all manifests that are read, including referrers: the allowance per requested image, and the
 * maximum total. Each manifest counts at least its minimum cost, also if it is missing or invalid: the first image may
 * have 16,000 small referrers, each further one 16.
 */
const TOTAL_LIMIT = 64 * 1024 * 1024;
const TOTAL_LIMIT_EACH = 64 * 1024;
const TOTAL_LIMIT_MOST = 1024 * 1024 * 1024;
const LEAST_SIZE = 4096;

/**
 * Manifests and lists of referrers that are read concurrently. The number grows up to the requested concurrency as long
 * as they are small, and is limited to `READ_AT_ONCE` bytes, given the size of the latest one: each takes several times
 * its size in memory while it is read.
 */
export const FIRST_AT_ONCE = 12;
const FIRST_LISTS_AT_ONCE = 4;
const LEAST_AT_ONCE = 3;
const READ_AT_ONCE = 1024 * 1024;
/** Approximate size of an entry in a list of referrers, in bytes. */
const REFERRER_SIZE = 512;

/** Options of a manifest reader. */
export interface ManifestReaderOptions {
  /** Maximum concurrent requests. */
  readonly concurrency: number;
  /** See `SeenManifests`. */
  readonly keepsIndexes: boolean;
  /** See `SeenManifests`. */
  readonly budget?: ManifestBudget;
  /** The digests of tags, from a list, which saves a HEAD request for each. */
  readonly digests?: ReadonlyMap<string, Digest>;
}

/**
 * Reads manifest graphs of one source repository, each manifest once.
 * @throws TransshipError MANIFEST_INVALID and MANIFEST_TOO_LARGE for an image beyond the limits above, RESPONSE_INVALID
 *   if all manifests together exceed them, and the source's refusals
 */
export class ManifestReader {
  /** Listed by an index, but missing. */
  readonly missing = new Set<Digest>();
  /** Listed as referrers, but missing, with their subjects. */
  readonly goneReferrers = new Map<Digest, Digest>();
  /** Listed as referrers, but not manifests, or with something below that is not a manifest. */
  readonly unreadableReferrers = new Map<Digest, ErrorData>();
  readonly #source: RepositoryReader;
  readonly #seen: SeenManifests;
  readonly #known: KnownTags;
  readonly #digests: ReadonlyMap<string, Digest>;
  /** The queue of manifest requests; tasks that wait for several of them must not be in it. */
  readonly #queue: PQueue;
  /** The queue of lists of referrers, with the manifests that they list. */
  readonly #lists: PQueue;
  readonly #concurrency: number;
  readonly #reading = new Map<Digest, Promise<SeenManifest | undefined>>();
  /** The referrers of the first manifest queried, which shows whether the source has a referrers API. */
  #first:
    | {readonly subject: Digest; readonly listed: Promise<readonly Descriptor[] | undefined>}
    | undefined;
  /** Bytes that may be read, and bytes read so far. */
  #limit = TOTAL_LIMIT;
  #count = 0;

  constructor(
    source: RepositoryReader,
    known: KnownTags,
    {concurrency, keepsIndexes, budget, digests = new Map()}: ManifestReaderOptions,
  ) {
    this.#source = source;
    this.#seen = new SeenManifests(source.name, keepsIndexes, budget);
    this.#known = known;
    this.#digests = digests;
    this.#concurrency = concurrency;
    this.#queue = new PQueue({concurrency: Math.min(concurrency, FIRST_AT_ONCE)});
    this.#lists = new PQueue({concurrency: Math.min(concurrency, FIRST_LISTS_AT_ONCE)});
  }

  get manifests(): ReadonlyMap<Digest, SeenManifest> {
    return this.#seen.all;
  }

  /** Reads the manifest of a tag or digest, with everything below it; undefined: not found. */
  async readRoot(reference: Tag | Digest, call: Call): Promise<Digest | undefined> {
    const digest = await this.readImage(reference, call);
    // Awaited after all roots are read; it may reject before that.
    if (digest !== undefined) this.hasReferrersApi(digest, call).catch(() => undefined);
    return digest;
  }

  /** As `readRoot`, without requesting referrers. */
  async readImage(reference: Tag | Digest, call: Call): Promise<Digest | undefined> {
    this.#limit = Math.min(TOTAL_LIMIT_MOST, this.#limit + TOTAL_LIMIT_EACH);
    const asked = this.#known.get(reference as Tag);
    if (asked !== undefined) {
      const listed = this.#digests.get(reference);
      const head = listed ?? this.#source.head(reference, call).then((found) => found?.digest);
      const [digest, known] = await Promise.all([head, asked]);
      if (digest === undefined || digest === known) return digest;
    }
    const manifest = await this.#get(reference, call);
    if (manifest === undefined) return undefined;
    await this.#readBelow(manifest, call);
    return manifest.descriptor.digest;
  }

  /** The digests of these manifests and of all manifests below them, as far as they were read. */
  graph(roots: readonly Digest[]): Digest[] {
    const seen = new Set<Digest>();
    const visit = (digest: Digest): void => {
      if (seen.has(digest)) return;
      seen.add(digest);
      const manifest = this.manifests.get(digest);
      if (manifest) for (const child of childManifests(manifest.view)) visit(child.digest);
    };
    for (const root of roots) visit(root);
    return [...seen];
  }

  /** The subject of a manifest that was read. */
  subjectOf(digest: Digest): Digest | undefined {
    const view = this.manifests.get(digest)?.view;
    return view === undefined || view.kind === 'schema1' ? undefined : view.subject?.digest;
  }

  /**
   * Reads the referrers of these manifests, with everything below them. A source without the API is queried only once:
   * its referrers are in fallback tags, which are ordinary tags.
   */
  async referrersOf(
    subjects: readonly Digest[],
    call: Call,
  ): Promise<{readonly subject: Digest; readonly digest: Digest}[]> {
    const [first] = subjects;
    if (first === undefined || !(await this.hasReferrersApi(first, call))) return [];
    const found = await mapAtOnce(subjects, this.#concurrency, (subject) =>
      // The task includes reading the listed manifests: otherwise, waiting lists would fill the memory.
      this.#lists.add(() => this.#referrers(subject, call)),
    );
    return found.flat();
  }

  /** Queried once, with any subject: the result applies to the whole source. */
  async hasReferrersApi(subject: Digest, call: Call): Promise<boolean> {
    this.#first ??= {subject, listed: this.#source.listReferrers(subject, call)};
    return (await this.#first.listed) !== undefined;
  }

  /** Reads these manifests with everything below them, unless they were read before. */
  async readAll(digests: readonly Digest[], call: Call): Promise<void> {
    await mapAtOnce(digests, this.#concurrency, async (digest) => {
      const manifest = await this.#read(digest, call);
      if (manifest !== undefined) await this.#readBelow(manifest, call);
    });
  }

  /** The layers with URLs that the source does not have. */
  async absentForeign(call: Call): Promise<ReadonlySet<Digest>> {
    const foreign = new Map<Digest, Descriptor>();
    for (const {view} of this.manifests.values())
      for (const layer of foreignLayers(view)) foreign.set(layer.digest, layer);
    const absent = new Set<Digest>();
    await mapAtOnce(foreign.values(), this.#concurrency, async (blob) => {
      if (!(await this.#source.hasBlob(blob, call))) absent.add(blob.digest);
    });
    return absent;
  }

  /**
   * Level by level, so that the depth is known whatever was read before: an index that is listed on several levels is
   * visited on each level, but read only once.
   */
  async #readBelow(root: SeenManifest, call: Call): Promise<void> {
    const counted = new Set<Digest>();
    let bytes = root.descriptor.size;
    let level: readonly SeenManifest[] = [root];
    for (let depth = 1; level.length > 0; depth++) {
      const children = new Set(
        level.flatMap(({view}) => childManifests(view).map(({digest}) => digest)),
      );
      if (children.size > 0 && depth > MANIFEST_NESTING_LIMIT) throw this.#tooDeep(root);
      const found: SeenManifest[] = [];
      await mapAtOnce(children, this.#concurrency, async (digest) => {
        const child = await this.#read(digest, call);
        if (child === undefined) return;
        found.push(child);
        if (!counted.has(digest)) bytes += child.descriptor.size;
        counted.add(digest);
        if (bytes > IMAGE_LIMIT) throw this.#tooLarge(root);
      });
      level = found;
    }
  }

  /** Reads a manifest once; undefined: it does not exist. */
  #read(digest: Digest, call: Call): Promise<SeenManifest | undefined> {
    const known = this.manifests.get(digest);
    if (known !== undefined || this.missing.has(digest)) return Promise.resolve(known);
    const reading = this.#reading.get(digest) ?? this.#readOnce(digest, call);
    this.#reading.set(digest, reading);
    return reading;
  }

  async #readOnce(digest: Digest, call: Call): Promise<SeenManifest | undefined> {
    const manifest = await this.#get(digest, call);
    if (manifest === undefined) this.missing.add(digest);
    this.#reading.delete(digest);
    return manifest;
  }

  async #get(reference: Tag | Digest, call: Call): Promise<SeenManifest | undefined> {
    return await this.#queue.add(async () => {
      this.#throwIfBeyond();
      const manifest = await this.#source.getManifest(reference, call).catch((error: unknown) => {
        this.#count += LEAST_SIZE;
        throw error;
      });
      if (manifest === undefined) {
        this.#addBytes(LEAST_SIZE);
        return undefined;
      }
      const {digest, size} = manifest.descriptor;
      this.#paceAfter(size, this.#queue);
      if (!this.manifests.has(digest)) this.#addBytes(Math.max(size, LEAST_SIZE));
      return this.#seen.keep(manifest);
    });
  }

  #paceAfter(size: number, queue: PQueue): void {
    paceAfter(size, queue, this.#concurrency);
  }

  async #referrers(subject: Digest, call: Call): Promise<{subject: Digest; digest: Digest}[]> {
    this.#throwIfBeyond();
    const listing =
      subject === this.#first?.subject
        ? this.#first.listed
        : this.#source.listReferrers(subject, call);
    const listed = ((await listing) ?? []).map(({digest}) => digest);
    this.#paceAfter(listed.length * REFERRER_SIZE, this.#lists);
    await mapAtOnce(listed, this.#concurrency, async (digest) => {
      try {
        await this.readAll([digest], call);
        if (!this.manifests.has(digest)) this.goneReferrers.set(digest, subject);
      } catch (error) {
        this.unreadableReferrers.set(digest, asUnreadable(error));
      }
    });
    const isWhole = (digest: Digest): boolean =>
      this.manifests.has(digest) && !this.unreadableReferrers.has(digest);
    return listed.filter(isWhole).map((digest) => ({subject, digest}));
  }

  #addBytes(bytes: number): void {
    this.#count += bytes;
    this.#throwIfBeyond();
  }

  /** Also checked before each request: otherwise, queued requests would be sent in vain. */
  #throwIfBeyond(): void {
    if (this.#count <= this.#limit) return;
    throw new TransshipError(
      'RESPONSE_INVALID',
      `${this.#source.name} has more manifests than the limit`,
      {
        side: 'source',
        hint: 'its manifests or their referrers are endless or exceed the limits; copy fewer tags at once',
      },
    );
  }

  #tooDeep({descriptor}: SeenManifest): TransshipError {
    return new TransshipError(
      'MANIFEST_INVALID',
      `${this.#source.name}@${descriptor.digest} has indexes nested deeper than ${MANIFEST_NESTING_LIMIT} levels`,
      {side: 'source', hint: 'leave this image out, or push it again as one index'},
    );
  }

  #tooLarge({descriptor}: SeenManifest): TransshipError {
    return new TransshipError(
      'MANIFEST_TOO_LARGE',
      `the manifests of ${this.#source.name}@${descriptor.digest} are larger than ${IMAGE_LIMIT} bytes`,
      {side: 'source', hint: 'leave this image out, or push it again as several images'},
    );
  }
}

/** Adapts the concurrency of a queue to the size of the latest item, up to `concurrency`; see `FIRST_AT_ONCE`. */
export function paceAfter(size: number, queue: PQueue, concurrency: number): void {
  const most = Math.max(LEAST_AT_ONCE, Math.floor(READ_AT_ONCE / Math.max(size, 1)));
  queue.concurrency = Math.min(concurrency, queue.concurrency + 1, most);
}
