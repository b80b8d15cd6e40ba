import PQueue from 'p-queue';
import type {Digest} from '../model/digest.ts';
import {childBlobs, childManifests, type Manifest} from '../model/manifest.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import type {DestinationInventory} from './inventory.ts';
import {OBSERVE_CONCURRENCY} from './observe-source.ts';

/** What the tags of a destination point to. `exists` is false where the registry knows no such repository. */
export interface DestinationTags {
  readonly exists: boolean;
  readonly tags: ReadonlyMap<Tag, Digest>;
}

/**
 * Asks what `wanted` tags point to. One request lists the tags; only those that are there cost a HEAD.
 * @throws TransshipError the registry's refusals
 */
export async function observeDestinationTags(
  destination: RepositoryReader,
  wanted: readonly Tag[],
  call: Call,
): Promise<DestinationTags> {
  const names = await destination.listTags(call);
  if (names === undefined) return {exists: false, tags: new Map()};
  const there = new Set(names);
  const queue = new PQueue({concurrency: OBSERVE_CONCURRENCY});
  const tags = new Map<Tag, Digest>();
  await queue.addAll(
    wanted
      .filter((tag) => there.has(tag))
      .map((tag) => async () => {
        const head = await destination.head(tag, call);
        if (head !== undefined) tags.set(tag, head.digest);
      }),
  );
  return {exists: true, tags};
}

/**
 * Asks which of the manifests and blobs below `roots` are there already. What is below a manifest that is there is
 * there too: a registry takes no manifest without its parts (distribution-spec, "Pushing Manifests"), so it is not
 * asked for. Where a registry breaks this rule, the push of a manifest says so and applying heals it.
 */
export async function observePresent(
  destination: RepositoryReader,
  seen: DestinationTags,
  roots: readonly Digest[],
  manifests: ReadonlyMap<Digest, Manifest>,
  call: Call,
): Promise<DestinationInventory> {
  const present = new Set<Digest>(seen.tags.values());
  const found = {repository: destination.name, exists: seen.exists, tags: seen.tags, present};
  if (!seen.exists) return found;
  const queue = new PQueue({concurrency: OBSERVE_CONCURRENCY});
  const asked = new Set<Digest>();
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
      markGraph(digest, manifests, present);
      return;
    }
    await Promise.all(childManifests(manifest.view).map((child) => visit(child.digest)));
    await Promise.all(
      childBlobs(manifest.view).map((blob) =>
        ask(blob.digest, () => destination.hasBlob(blob.digest, call)),
      ),
    );
  };
  await Promise.all(roots.map(visit));
  return found;
}

function markGraph(
  digest: Digest,
  manifests: ReadonlyMap<Digest, Manifest>,
  present: Set<Digest>,
): void {
  present.add(digest);
  const view = manifests.get(digest)?.view;
  if (view === undefined) return;
  for (const blob of childBlobs(view)) present.add(blob.digest);
  for (const child of childManifests(view)) markGraph(child.digest, manifests, present);
}
