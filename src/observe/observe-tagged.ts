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
 * Manifests that may be below the indexes of a repository, each as often as it is below one: 25,000 images of ten
 * platforms with attestations.
 */
const BELOW_LIMIT = 500_000;

/** An entry of an index. */
interface Listed {
  readonly digest: Digest;
  readonly isIndex: boolean;
}

/** Reads indexes, each once, without their images. */
class IndexReader {
  readonly #repository: RepositoryReader;
  readonly #seen: ReadonlyMap<Digest, SeenManifest>;
  readonly #children = new Map<Digest, Promise<readonly Listed[]>>();
  /** Each entry once: indexes share many. */
  readonly #entries = new Map<Digest, Listed>();
  readonly #total: TotalLimit;
  #count = 0;

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
      const listed = await mapAtOnce(level, OBSERVE_CONCURRENCY, (one) => this.#list(one, call));
      level = [];
      for (const {digest, isIndex} of listed.flat()) {
        if (found.has(digest)) continue;
        found.add(digest);
        if (isIndex) level.push(digest);
        if (++this.#count > BELOW_LIMIT) throw this.#tooMany();
      }
    }
    return found;
  }

  #list(index: Digest, call: Call): Promise<readonly Listed[]> {
    const known = this.#children.get(index) ?? this.#read(index, call);
    this.#children.set(index, known);
    return known;
  }

  async #read(index: Digest, call: Call): Promise<readonly Listed[]> {
    this.#total.throwIfBeyond();
    const seen = this.#seen.get(index);
    const manifest = seen ?? (await this.#repository.getManifest(index, call));
    if (manifest === undefined) return [];
    if (seen === undefined) this.#total.add(manifest.descriptor.size);
    const children = new Map<Digest, Listed>();
    for (const {digest, mediaType} of childManifests(manifest.view)) {
      const entry = this.#entries.get(digest) ?? {digest, isIndex: isIndexType(mediaType)};
      this.#entries.set(digest, entry);
      children.set(digest, entry);
    }
    return [...children.values()];
  }

  #tooMany(): TransshipError {
    return new TransshipError(
      'RESPONSE_INVALID',
      `the indexes of ${this.#repository.name} list more than ${BELOW_LIMIT} manifests`,
      {side: 'source', hint: TOO_MANY},
    );
  }
}

const TOO_MANY =
  'its indexes are endless or exceed the limits; delete some of its tags by a cleanup policy of the registry first';
