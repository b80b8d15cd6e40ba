import PQueue from 'p-queue';
import {algorithmOf, type Digest, digestOf} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {childBlobs, childManifests, type SeenManifest} from '../model/manifest.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {mapAtOnce} from './at-once.ts';
import type {DestinationInventory} from './inventory.ts';
import {listIfAble, type Names, tellingFailure} from './listed-names.ts';
import {OBSERVE_CONCURRENCY} from './observe-source.ts';

/** What the tags of a destination point to. `exists` is false if the repository does not exist. */
export interface DestinationTags {
  readonly exists: boolean;
  readonly tags: ReadonlyMap<Tag, Digest>;
}

/**
 * Looks up what the `wanted` tags point to. One request lists the tags; each existing one takes a HEAD. If the list is
 * refused, every wanted tag takes a HEAD.
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
export type AskedTags = ReadonlyMap<Tag, Promise<Digest | undefined>> | undefined;

/**
 * Starts looking up those of `wanted` that are among `names`, concurrently with requests to the source.
 * @param digests what is known of them: those are not asked for
 */
export function beginTags(
  destination: RepositoryReader,
  names: Names,
  wanted: readonly Tag[],
  call: Call,
  digests: ReadonlyMap<string, Digest> = new Map(),
): AskedTags {
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
      reject(tellingFailure(names, error));
    }
  });
  for (const [tag, {promise}] of asked) known.set(tag, promise);
  return known;
}

/**
 * What a tag points to, to be compared with the digest that it should have: a registry may name a manifest by another
 * algorithm than the one it was planned by (`sha512:…` of the plan, `sha256:…` in `Docker-Content-Digest`). Only its bytes
 * tell whether the two are the same then.
 * @param named as the place named it
 * @returns `wanted` where it is that; else `named`
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

/** What a tag points to now, named as in `comparable`; undefined: the tag does not exist. */
export async function headComparable(
  place: RepositoryReader,
  tag: Tag,
  wanted: Digest,
  call: Call,
): Promise<Digest | undefined> {
  return comparable(place, tag, (await place.head(tag, call))?.digest, wanted, call);
}

/** @throws TransshipError the registry's refusals */
export async function allTags(asked: AskedTags): Promise<DestinationTags> {
  const tags = new Map<Tag, Digest>();
  if (asked === undefined) return {exists: false, tags};
  for (const [tag, digest] of asked) {
    const found = await digest;
    if (found !== undefined) tags.set(tag, found);
  }
  return {exists: true, tags};
}

/**
 * Looks up which of the manifests and blobs below `roots` already exist. The parts of an existing manifest are not
 * looked up: a registry does not accept a manifest without its parts (distribution-spec, "Pushing Manifests"). Where a
 * registry breaks this rule, the push of a manifest says so and applying heals it.
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
