import PQueue from 'p-queue';
import {algorithmOf, type Digest, digestOf} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {childBlobs, childManifests, type SeenManifest} from '../model/manifest.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {mapAtOnce} from './at-once.ts';
import type {DestinationInventory} from './inventory.ts';
import {listIfAble, type Names, moreSpecificFailure} from './listed-names.ts';
import {OBSERVE_CONCURRENCY} from './observe-source.ts';

/** The digests of tags at a destination. `exists` is false if the repository does not exist. */
export interface DestinationTags {
  readonly exists: boolean;
  readonly tags: ReadonlyMap<Tag, Digest>;
}

/**
 * Looks up the digests of the `wanted` tags. One request lists the tags; each existing one requires a HEAD. If the list
 * is refused, every wanted tag requires a HEAD.
 * @throws TransshipError the registry's refusals
 */
export async function observeDestinationTags(
  destination: RepositoryReader,
  wanted: readonly Tag[],
  call: Call,
): Promise<DestinationTags> {
  return allTags(beginTags(destination, await listIfAble(destination, call), wanted, call));
}

/** Lookups in progress; undefined: the repository does not exist. */
export type PendingTags = ReadonlyMap<Tag, Promise<Digest | undefined>> | undefined;

/**
 * Starts looking up those of `wanted` that are among `names`, concurrently with requests to the source.
 * @param digests known digests, for which no request is sent
 */
export function beginTags(
  destination: RepositoryReader,
  names: Names,
  wanted: readonly Tag[],
  call: Call,
  digests: ReadonlyMap<string, Digest> = new Map(),
): PendingTags {
  if (names === undefined) return undefined;
  const failure = names instanceof TransshipError ? names : undefined;
  const there = names instanceof TransshipError ? undefined : new Set(names);
  const asked = new Map<Tag, PromiseWithResolvers<Digest | undefined>>();
  const known = new Map<Tag, Promise<Digest | undefined>>();
  for (const tag of wanted) {
    if (there?.has(tag) === false) continue;
    const digest = digests.get(tag);
    if (digest !== undefined) {
      known.set(tag, Promise.resolve(digest));
      continue;
    }
    const answer = Promise.withResolvers<Digest | undefined>();
    // It may reject before it is awaited.
    answer.promise.catch(() => undefined);
    asked.set(tag, answer);
  }
  void mapAtOnce(asked, OBSERVE_CONCURRENCY, async ([tag, {resolve, reject}]) => {
    try {
      const found = await destination.head(tag, call);
      if (failure) destination.listNotUsed?.(failure, 'tags are requested one by one');
      resolve(found?.digest);
    } catch (error) {
      reject(moreSpecificFailure(names, error));
    }
  });
  for (const [tag, {promise}] of asked) known.set(tag, promise);
  return known;
}

/**
 * The digest of a tag, comparable with the wanted one. A registry may report a digest with another algorithm
 * (`sha512:…` in the plan, `sha256:…` in `Docker-Content-Digest`); the manifest is then read to compare its bytes.
 * @param named the digest that the place reports
 * @returns `wanted` if the manifest has that digest; else `named`
 */
export async function comparable(
  place: RepositoryReader,
  tag: Tag,
  named: Digest | undefined,
  wanted: Digest,
  call: Call,
): Promise<Digest | undefined> {
  if (named === undefined || algorithmOf(named) === algorithmOf(wanted)) return named;
  const manifest = await place.getManifest(tag, call);
  if (manifest === undefined) return undefined;
  return digestOf(manifest.bytes, algorithmOf(wanted)) === wanted ? wanted : named;
}

/** The current digest of a tag, as from `comparable`; undefined: the tag does not exist. */
export async function headComparable(
  place: RepositoryReader,
  tag: Tag,
  wanted: Digest,
  call: Call,
): Promise<Digest | undefined> {
  return comparable(place, tag, (await place.head(tag, call))?.digest, wanted, call);
}

/** Waits for the lookups. @throws TransshipError the registry's refusals */
export async function allTags(asked: PendingTags): Promise<DestinationTags> {
  const tags = new Map<Tag, Digest>();
  if (asked === undefined) return {exists: false, tags};
  for (const [tag, digest] of asked) {
    const found = await digest;
    if (found !== undefined) tags.set(tag, found);
  }
  return {exists: true, tags};
}

/**
 * Looks up which of the manifests and blobs below `roots` exist. The parts of an existing manifest are not looked up: a
 * registry does not accept a manifest without its parts (distribution-spec, "Pushing Manifests"). If a registry lost a
 * part, pushing a manifest fails, and applying copies the part again (apply/repair.ts).
 */
export async function observePresent(
  destination: RepositoryReader,
  seen: DestinationTags,
  roots: readonly Digest[],
  manifests: ReadonlyMap<Digest, SeenManifest>,
  call: Call,
): Promise<DestinationInventory> {
  const present = new Set<Digest>(seen.tags.values());
  const found = {repository: destination.name, exists: seen.exists, tags: seen.tags, present};
  if (!seen.exists) return found;
  const queue = new PQueue({concurrency: OBSERVE_CONCURRENCY});
  const asked = new Set<Digest>();
  const marked = new Set<Digest>();
  const ask = async (digest: Digest, isThere: () => Promise<boolean>): Promise<boolean> => {
    if (present.has(digest)) return true;
    if (asked.has(digest)) return false;
    asked.add(digest);
    if (!(await queue.add(isThere))) return false;
    present.add(digest);
    return true;
  };
  const visit = async (digest: Digest): Promise<void> => {
    const manifest = manifests.get(digest);
    if (manifest === undefined || asked.has(digest)) return;
    if (await ask(digest, async () => (await destination.head(digest, call)) !== undefined)) {
      markGraph(digest, manifests, present, marked);
      return;
    }
    await Promise.all(childManifests(manifest.view).map((child) => visit(child.digest)));
    await Promise.all(
      childBlobs(manifest.view).map((blob) =>
        ask(blob.digest, () => destination.hasBlob(blob, call)),
      ),
    );
  };
  await Promise.all(roots.map(visit));
  return found;
}

function markGraph(
  digest: Digest,
  manifests: ReadonlyMap<Digest, SeenManifest>,
  present: Set<Digest>,
  marked: Set<Digest>,
): void {
  if (marked.has(digest)) return;
  marked.add(digest);
  present.add(digest);
  const view = manifests.get(digest)?.view;
  if (view === undefined) return;
  for (const blob of childBlobs(view)) present.add(blob.digest);
  for (const child of childManifests(view)) markGraph(child.digest, manifests, present, marked);
}
