import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {SeenManifest} from '../model/manifest.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {mapAtOnce} from './at-once.ts';
import type {DestinationInventory, SourceInventory, SourceRoot} from './inventory.ts';
import {listedDigests, listIfAble, type Names} from './listed-names.ts';
import {hasUntagged} from './listed-referrer.ts';
import {
  allTags,
  type PendingTags,
  beginTags,
  comparable,
  observeDestinationTags,
  observePresent,
} from './observe-destination.ts';
import {OBSERVE_CONCURRENCY, observeSource, type SourceQuestion} from './observe-source.ts';

/** A source repository, a destination repository, and the images to copy. */
export interface RouteQuestion extends Omit<SourceQuestion, 'known'> {
  readonly source: RepositoryReader;
  readonly destination: RepositoryReader;
  /** The tag at the destination for a single image, if it differs. */
  readonly toTag?: Tag;
  /** Read every manifest, even of images that the destination has, because filters need them. */
  readonly readAll: boolean;
}

/** The content of both sides of a route. */
export interface RouteInventory {
  readonly source: SourceInventory;
  readonly destination: DestinationInventory;
}

/**
 * Observes both sides. If nothing has to be copied, this requires a listing and one HEAD per tag on each side. If the
 * destination repository does not exist, it requires a listing and one GET per manifest at the source, and one request
 * at the destination.
 */
export async function observeRoute(question: RouteQuestion, call: Call): Promise<RouteInventory> {
  const {destination, toTag} = question;
  // Requested while the source lists its tags.
  const listing = listIfAble(destination, call);
  listing.catch(() => undefined);
  let asked: PendingTags;
  let beforehand: readonly Tag[] = [];
  const source = await observeSource(
    question.source,
    {
      ...question,
      known: async (wanted, toTags) => {
        const called = new Map(wanted.map((tag) => [tag, toTag ?? toTags?.get(tag) ?? tag]));
        beforehand = toTag === undefined ? [...called.values()] : [toTag];
        const names = await listing;
        const digests = await digestsAt(destination, names, beforehand, call);
        const there = beginTags(destination, names, beforehand, call, digests);
        asked = there;
        if (question.readAll || there === undefined) return new Map();
        const known = [...called].map(([tag, name]) => [tag, there.get(name)] as const);
        return new Map(
          known.flatMap(([tag, digest]) => (digest === undefined ? [] : [[tag, digest]])),
        );
      },
    },
    call,
  );
  const seen = await allTags(asked);
  const roots =
    toTag === undefined ? source.roots : source.roots.map((root) => renamed(root, toTag));
  const tags = await comparableTags(
    destination,
    await withFurtherTags(destination, seen, roots, new Set(beforehand), call),
    roots,
    call,
  );
  const missing = roots.filter(
    (root) => tags.tags.get(destinationTag(root) as Tag) !== root.digest,
  );
  const made = convertedManifests(source);
  const present = await observePresent(
    destination,
    tags,
    [...missing.map((root) => root.digest), ...made.keys()],
    new Map([...source.manifests, ...made]),
    call,
  );
  return {
    source: {...source, roots},
    destination: await withoutUnlisted(destination, present, roots, call),
  };
}

/**
 * The digests of the wanted tags, from a list. Only listed tags count, so that a new repository requires no further
 * request.
 */
async function digestsAt(
  destination: RepositoryReader,
  names: Names,
  wanted: readonly Tag[],
  call: Call,
): Promise<ReadonlyMap<string, Digest>> {
  const listed = new Set<string>(
    names === undefined || names instanceof TransshipError ? [] : names,
  );
  return await listedDigests(destination, wanted.filter((tag) => listed.has(tag)).length, call);
}

/** The manifests that are copied instead of those that are converted. */
function convertedManifests({converted}: SourceInventory): ReadonlyMap<Digest, SeenManifest> {
  const all = [...(converted?.conversions.values() ?? [])];
  return new Map(
    all.flatMap((one) => ('error' in one ? [] : [[one.manifest.descriptor.digest, one.manifest]])),
  );
}

/** The tags of the destination. */
interface SeenTags {
  readonly exists: boolean;
  readonly tags: ReadonlyMap<Tag, Digest>;
}

/** The tags of the roots, with digests that are comparable with theirs. */
async function comparableTags(
  destination: RepositoryReader,
  {exists, tags: seen}: SeenTags,
  roots: readonly SourceRoot[],
  call: Call,
): Promise<SeenTags> {
  const tags = new Map(seen);
  await mapAtOnce(roots, OBSERVE_CONCURRENCY, async (root) => {
    const tag = destinationTag(root);
    const named = tag === undefined ? undefined : seen.get(tag);
    if (tag === undefined || named === undefined) return;
    const found = await comparable(destination, tag, named, root.digest, call);
    if (found !== undefined) tags.set(tag, found);
  });
  return {exists, tags};
}

/** A referrer that exists but is not listed cannot be found by clients: it must be pushed and listed again. */
async function withoutUnlisted(
  destination: RepositoryReader,
  inventory: DestinationInventory,
  roots: readonly SourceRoot[],
  call: Call,
): Promise<DestinationInventory> {
  const present = new Set(inventory.present);
  for (const {as, tag, digest} of roots) {
    if (as !== 'referrer' || tag !== undefined || !present.has(digest)) continue;
    if (!(await hasUntagged(destination, digest, call))) present.delete(digest);
  }
  return {...inventory, present};
}

/** The tag of a root at the destination. */
function destinationTag(root: SourceRoot): Tag | undefined {
  return (root.as === 'asked' ? root.toTag : undefined) ?? root.tag;
}

function renamed(root: SourceRoot, toTag: Tag): SourceRoot {
  return root.as === 'asked' && root.tag !== toTag ? {...root, toTag} : root;
}

/** Looks up the tags that are known only after the source was read: signatures, fallback tags, and names of layouts. */
async function withFurtherTags(
  destination: RepositoryReader,
  seen: SeenTags,
  roots: readonly SourceRoot[],
  beforehand: ReadonlySet<Tag>,
  call: Call,
): Promise<SeenTags> {
  const extra = roots.flatMap((root) => {
    const tag = destinationTag(root);
    return tag === undefined || beforehand.has(tag) ? [] : [tag];
  });
  if (!seen.exists || extra.length === 0) return seen;
  const more = await observeDestinationTags(destination, extra, call);
  return {exists: true, tags: new Map([...seen.tags, ...more.tags])};
}
