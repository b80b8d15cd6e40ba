import PQueue from 'p-queue';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {ErrorCode} from '../model/error-codes.ts';
import type {ErrorData} from '../model/event.ts';
import {childBlobs, childManifests, type Manifest} from '../model/manifest.ts';
import {isForeignLayerType} from '../model/media-type.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';

/** What the destination has for tags of the source, perhaps while it is being asked for. */
export type KnownTags = ReadonlyMap<Tag, Digest | Promise<Digest | undefined>>;

/** Reads manifest graphs of one source repository, each manifest once. */
export class ManifestReader {
  readonly manifests = new Map<Digest, Manifest>();
  /** Listed by an index and not there. */
  readonly missing = new Set<Digest>();
  /** What is listed as a referrer and not there, with its subject. */
  readonly goneReferrers = new Map<Digest, Digest>();
  readonly #source: RepositoryReader;
  readonly #known: KnownTags;
  readonly #queue: PQueue;
  /** Apart from the other queue: each job here waits for jobs there. */
  readonly #referrerQueue: PQueue;
  readonly #reading = new Map<Digest, Promise<void>>();
  readonly #listed = new Map<Digest, Promise<readonly Descriptor[] | undefined>>();
  /** Whether the source has a referrers API; undefined: not asked yet. */
  #hasReferrers: Promise<boolean> | undefined;

  constructor(source: RepositoryReader, known: KnownTags, concurrency: number) {
    this.#source = source;
    this.#known = known;
    this.#queue = new PQueue({concurrency});
    this.#referrerQueue = new PQueue({concurrency});
  }

  /** Reads what a tag or digest points to, with all below it; undefined: not there. */
  async readRoot(reference: Tag | Digest, call: Call): Promise<Digest | undefined> {
    const digest = await this.#readRoot(reference, call);
    // Will be asked for when all roots are read; it may fail before that.
    if (digest !== undefined) this.hasReferrersApi(digest, call).catch(() => undefined);
    return digest;
  }

  async #readRoot(reference: Tag | Digest, call: Call): Promise<Digest | undefined> {
    const asked = this.#known.get(reference as Tag);
    if (asked !== undefined) {
      const [head, known] = await Promise.all([this.#source.head(reference, call), asked]);
      if (head === undefined || head.digest === known) return head?.digest;
    }
    const manifest = await this.#source.getManifest(reference, call);
    if (manifest === undefined) return undefined;
    await this.#keep(manifest, call);
    return manifest.descriptor.digest;
  }

  /** Every manifest that was read below these, themselves included. */
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

  /** What a manifest that was read refers to. */
  subjectOf(digest: Digest): Digest | undefined {
    const view = this.manifests.get(digest)?.view;
    return view === undefined || view.kind === 'schema1' ? undefined : view.subject?.digest;
  }

  /**
   * What refers to these manifests, read with all below it. A source without the API is asked once only: its
   * referrers stand in fallback tags, which are tags like others.
   */
  async referrersOf(
    subjects: readonly Digest[],
    call: Call,
  ): Promise<{readonly subject: Digest; readonly digest: Digest}[]> {
    const [first] = subjects;
    if (first === undefined || !(await this.hasReferrersApi(first, call))) return [];
    const found = await this.#referrerQueue.addAll(
      subjects.map((subject) => () => this.#referrers(subject, call)),
    );
    return found.flat();
  }

  /** Asked once, with any subject: the answer holds for the source. */
  hasReferrersApi(subject: Digest, call: Call): Promise<boolean> {
    this.#hasReferrers ??= this.#listReferrers(subject, call).then(
      (listed) => listed !== undefined,
    );
    return this.#hasReferrers;
  }

  /** Reads the manifests that were known to be at the destination, and so were not read. */
  async readAll(digests: readonly Digest[], call: Call): Promise<void> {
    await Promise.all(digests.map((digest) => this.#readChild(digest, call)));
  }

  /** Of the layers that may be elsewhere, those that the source does not have. */
  async absentForeign(call: Call): Promise<ReadonlySet<Digest>> {
    const foreign = new Set<Digest>();
    for (const {view} of this.manifests.values()) {
      for (const blob of childBlobs(view)) {
        if (isForeignLayerType(blob.mediaType) || (blob.urls?.length ?? 0) > 0)
          foreign.add(blob.digest);
      }
    }
    const absent = new Set<Digest>();
    await this.#queue.addAll(
      [...foreign].map((digest) => async () => {
        if (!(await this.#source.hasBlob(digest, call))) absent.add(digest);
      }),
    );
    return absent;
  }

  async #keep(manifest: Manifest, call: Call): Promise<void> {
    const {digest} = manifest.descriptor;
    if (this.manifests.has(digest)) return;
    this.manifests.set(digest, manifest);
    await Promise.all(
      childManifests(manifest.view).map((child) => this.#readChild(child.digest, call)),
    );
  }

  async #readChild(digest: Digest, call: Call): Promise<void> {
    if (this.manifests.has(digest)) return;
    const reading = this.#reading.get(digest) ?? this.#readMissing(digest, call);
    this.#reading.set(digest, reading);
    await reading;
  }

  async #readMissing(digest: Digest, call: Call): Promise<void> {
    const manifest = await this.#queue.add(() => this.#source.getManifest(digest, call));
    if (manifest === undefined) this.missing.add(digest);
    else await this.#keep(manifest, call);
  }

  #listReferrers(subject: Digest, call: Call): Promise<readonly Descriptor[] | undefined> {
    const listed = this.#listed.get(subject) ?? this.#source.listReferrers(subject, call);
    this.#listed.set(subject, listed);
    return listed;
  }

  async #referrers(subject: Digest, call: Call): Promise<{subject: Digest; digest: Digest}[]> {
    const listed = (await this.#listReferrers(subject, call)) ?? [];
    await this.readAll(
      listed.map(({digest}) => digest),
      call,
    );
    const isThere = ({digest}: Descriptor): boolean => this.manifests.has(digest);
    for (const one of listed) if (!isThere(one)) this.goneReferrers.set(one.digest, subject);
    return listed.filter(isThere).map(({digest}) => ({subject, digest}));
  }
}

/**
 * What is wrong with a manifest that cannot be read. One tag that holds nonsense must not keep the others back.
 * @throws all other errors: a registry that refuses does keep them back
 */
export function asUnreadable(error: unknown): ErrorData {
  if (!(error instanceof TransshipError) || !UNREADABLE.has(error.code)) throw error;
  const {code, side, message, hint} = error;
  return {code, side, message, hint};
}

const UNREADABLE: ReadonlySet<ErrorCode> = new Set([
  'MANIFEST_INVALID',
  'MANIFEST_TOO_LARGE',
  'MANIFEST_DIGEST_MISMATCH',
]);
