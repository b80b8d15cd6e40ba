import PQueue from 'p-queue';
import type {Descriptor} from '../model/descriptor.ts';
import type {Digest} from '../model/digest.ts';
import {childManifests, type SeenManifest} from '../model/manifest.ts';
import {isIndexType} from '../model/media-type.ts';
import {TransshipError} from '../model/error.ts';
import type {Call, RepositoryReader, RepositoryWriter, TagDeletion} from '../model/port.ts';
import {isTag, type Tag} from '../model/reference.ts';
import {mapAtOnce} from './at-once.ts';
import type {SourceInventory} from './inventory.ts';
import {MANIFEST_NESTING_LIMIT, TotalLimit} from './manifest-limits.ts';
import {FIRST_AT_ONCE, paceAfter} from './manifest-reader.ts';
import {OBSERVE_CONCURRENCY} from './observe-source.ts';

/** The content of a repository that a deletion may affect: its tags, and the manifests below their indexes. */
export interface TaggedContent {
  readonly deletion: TagDeletion;
  readonly tags: ReadonlyMap<Tag, Digest>;
  /** All manifests below each index that a tag points to, by the digest of the index. */
  readonly below: ReadonlyMap<Digest, ReadonlySet<Digest>>;
}

/**
 * Reads the digest of every tag of a repository, and its indexes: a list, a HEAD for each tag and a GET for each index.
 * A repository that does not exist has no tags.
 * @param seen manifests that were just read, and are not read again
 * @throws TransshipError the registry's refusals
 */
export async function observeTagged(
  repository: RepositoryReader,
  deletion: TagDeletion,
  seen: ReadonlyMap<Digest, SeenManifest>,
  call: Call,
): Promise<TaggedContent> {
  const names = ((await repository.listTags(call)) ?? []).filter(isTag);
  const tags = new Map<Tag, Digest>();
  const indexes = new Map<Digest, Descriptor>();
  await mapAtOnce(names, OBSERVE_CONCURRENCY, async (tag) => {
    const found = await repository.head(tag, call);
    if (found === undefined) return;
    tags.set(tag, found.digest);
    if (isIndexType(found.mediaType)) indexes.set(found.digest, found);
  });
  const below = new Map<Digest, ReadonlySet<Digest>>();
  const reader = new IndexReader(repository, seen);
  await mapAtOnce(indexes.keys(), OBSERVE_CONCURRENCY, async (digest) => {
    below.set(digest, await reader.below(digest, call));
  });
  return {deletion, tags, below};
}

/** The observed content of a source repository whose tags are to be deleted. */
export type SeenSource = Pick<SourceInventory, 'roots' | 'manifests'>;

/**
 * Reads what must be known of a source before its tags are deleted. If the registry deletes single tags and there are
 * no attachments, the tags that were already read are sufficient.
 * @param sources the inventories of the same repository, one for each route
 * @throws TransshipError UNSUPPORTED_BY_REGISTRY and the registry's other refusals of deletions
 */
export async function observeDeletable(
  repository: RepositoryWriter,
  sources: readonly SeenSource[],
  attachmentSubject: (tag: string) => Digest | undefined,
  call: Call,
): Promise<TaggedContent> {
  const deletion = await repository.tagDeletion?.(call);
  if (deletion === undefined) throw deletesNothing(repository);
  const roots = sources.flatMap((source) => source.roots);
  const hasAttached = roots.some(
    ({as, tag}) => as !== 'asked' || attachmentSubject(tag ?? '') !== undefined,
  );
  if (deletion === 'alone' && !hasAttached) {
    const known = roots.flatMap(({tag, digest}) =>
      tag === undefined ? [] : [[tag, digest] as const],
    );
    return {deletion, tags: new Map(known), below: new Map()};
  }
  const seen = new Map(sources.flatMap(({manifests}) => [...manifests]));
  return await observeTagged(repository, deletion, seen, call);
}

function deletesNothing({name}: RepositoryWriter): TransshipError {
  return new TransshipError('USAGE', `cannot delete in ${name}, which is not a registry`, {
    side: 'local',
    hint: 'tags are deleted only in registries; remove a layout or an archive as a whole by hand',
  });
}

/**
 * Limits for the indexes of a repository, far above any real one: different manifests that they list, and the lists of
 * all indexes, and of all that is below each tag, together.
 */
const LIMITS = {contents: 150_000, listed: 1_000_000};
const TOO_MANY =
  'its indexes are endless or exceed the limits; delete some of its tags by a cleanup policy of the registry first';

/** A manifest that an index lists. */
interface Child {
  readonly digest: Digest;
  readonly isIndex: boolean;
}

/**
 * Reads indexes, each once, without their images.
 * @throws TransshipError RESPONSE_INVALID beyond the limits above
 */
class IndexReader {
  readonly #repository: RepositoryReader;
  readonly #seen: ReadonlyMap<Digest, SeenManifest>;
  readonly #queue = new PQueue({concurrency: FIRST_AT_ONCE});
  readonly #children = new Map<Digest, Promise<readonly Child[]>>();
  /** Many indexes may list the same manifests. */
  readonly #known = new Map<Digest, Child>();
  readonly #total: TotalLimit;
  /** Entries of the lists that are kept. */
  #listed = 0;

  constructor(repository: RepositoryReader, seen: ReadonlyMap<Digest, SeenManifest>) {
    this.#repository = repository;
    this.#seen = seen;
    this.#total = new TotalLimit({name: repository.name, side: 'source', hint: TOO_MANY});
  }

  /**
   * The manifests below an index, level by level. Levels below the limit are ignored, since no copy would include them.
   * @throws TransshipError RESPONSE_INVALID beyond the limits of the repository
   */
  async below(root: Digest, call: Call): Promise<ReadonlySet<Digest>> {
    this.#total.image();
    const found = new Set<Digest>();
    let level = [root];
    for (let depth = 0; level.length > 0 && depth < MANIFEST_NESTING_LIMIT; depth++) {
      const before = found.size;
      const listed = await mapAtOnce(level, OBSERVE_CONCURRENCY, (one) => this.#list(one, call));
      const next = new Set<Digest>();
      // Indexes that list one another several times must not multiply, level by level.
      for (const children of listed)
        for (const {digest, isIndex} of children) {
          if (found.has(digest)) continue;
          found.add(digest);
          if (isIndex) next.add(digest);
        }
      this.#count(found.size - before);
      level = [...next];
    }
    return found;
  }

  #count(listed: number): void {
    this.#listed += listed;
    if (this.#listed <= LIMITS.listed && this.#known.size <= LIMITS.contents) return;
    throw new TransshipError(
      'RESPONSE_INVALID',
      `${this.#repository.name} has indexes that list too many manifests`,
      {side: 'source', hint: TOO_MANY},
    );
  }

  #list(index: Digest, call: Call): Promise<readonly Child[]> {
    const known = this.#children.get(index) ?? this.#queue.add(() => this.#read(index, call));
    this.#children.set(index, known);
    return known;
  }

  async #read(index: Digest, call: Call): Promise<readonly Child[]> {
    this.#total.throwIfBeyond();
    const seen = this.#seen.get(index);
    const manifest = seen ?? (await this.#repository.getManifest(index, call));
    if (manifest === undefined) return [];
    if (seen === undefined) this.#total.add(manifest.descriptor.size);
    paceAfter(manifest.descriptor.size, this.#queue, OBSERVE_CONCURRENCY);
    const children = new Set(childManifests(manifest.view).map((child) => this.#child(child)));
    this.#count(children.size);
    return [...children];
  }

  #child({digest, mediaType}: Descriptor): Child {
    const isIndex = isIndexType(mediaType);
    const known = this.#known.get(digest);
    if (known?.isIndex === isIndex) return known;
    const child = {digest: known?.digest ?? digest, isIndex};
    this.#known.set(digest, child);
    return child;
  }
}
