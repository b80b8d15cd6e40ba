import type {Digest} from '../model/digest.ts';
import type {BlobAction, CopyStep, PlannedManifest, PlanTotals, Skip} from '../model/plan.ts';
import {ByPlace} from './by-place.ts';

/** A copy without its cost, which depends on the copies before it. */
export type UncostedCopy = Omit<CopyStep, 'estimate'>;

/**
 * Adds the cost of each copy. The first copy that needs shared content has the cost of it.
 * @param manifests include all that the copies push
 */
export function withEstimates(
  copies: readonly UncostedCopy[],
  manifests: readonly PlannedManifest[],
  blobs: readonly BlobAction[],
): readonly CopyStep[] {
  const blobsOf = new Map(manifests.map(({digest, blobs: own}) => [digest, own]));
  const left = new ByPlace<Digest, BlobAction | undefined>();
  for (const action of blobs) left.set(action.to, action.digest, action);
  const [heads, gets, puts] = [new Paid<string>(), new Paid<Digest>(), new Paid<Digest>()];
  return copies.map((copy) => {
    const {from, to, tag, sourceTag, manifests: own} = copy;
    let bytes = 0;
    let requests = tag === undefined ? 0 : 2;
    if (sourceTag !== undefined && heads.isFirst(from, sourceTag.name)) requests += 1;
    for (const [at, manifest] of own.entries()) {
      if (gets.isFirst(from, manifest)) requests += 1;
      if (at === own.length - 1 || puts.isFirst(to, manifest)) requests += 1;
      for (const blob of blobsOf.get(manifest) ?? []) {
        const action = left.get(to, blob);
        if (action === undefined) continue;
        left.set(to, blob, undefined);
        requests += BLOB_REQUESTS[action.action];
        if (action.action === 'copy') bytes += action.size;
      }
    }
    return {...copy, estimate: {bytes, requests}};
  });
}

/** Content whose cost is already counted. */
class Paid<Name> {
  readonly #paid = new ByPlace<Name, true>();

  isFirst(place: string, name: Name): boolean {
    if (this.#paid.has(place, name)) return false;
    this.#paid.set(place, name, true);
    return true;
  }
}

/** copy: a GET at the source, a POST and a PUT at the destination. mount: a POST. */
const BLOB_REQUESTS = {copy: 3, mount: 1, present: 0, foreign: 0} as const;

/**
 * Counts the content of a plan. The requests are an estimate for a run without failures or uploads of several chunks;
 * requests for tokens are not included.
 * - source: a HEAD for each tag (to detect drift), a GET for each manifest that is pushed and for each blob that is
 *   copied.
 * - destination: a HEAD for each tag, and another one before it is written; a PUT for each child manifest once for each
 *   repository, and for the manifest of each copy; a POST for each mount; a POST and a PUT for each blob that is
 *   copied.
 */
export function totalsOf(
  steps: readonly UncostedCopy[],
  blobs: readonly BlobAction[],
  skipped: readonly Skip[],
): PlanTotals {
  const counts = {copy: 0, mount: 0, present: 0, foreign: 0};
  const sizes = {copy: 0, mount: 0, present: 0, foreign: 0};
  for (const {action, size} of blobs) {
    counts[action] += 1;
    sizes[action] += size;
  }
  const present = skipped.filter((skip) => skip.reason === 'present');
  const sourceTags = new Set([
    ...steps.flatMap(({from, sourceTag}) => (sourceTag ? [`${from}:${sourceTag.name}`] : [])),
    ...present.flatMap(({from, sourceTag, tag}) => {
      const name = sourceTag ?? tag;
      return name === undefined ? [] : [`${from}:${name}`];
    }),
  ]);
  const tags = tagged(steps) + tagged(present);
  const put = new ByPlace<Digest, true>();
  const children = new ByPlace<Digest, true>();
  const read = new ByPlace<Digest, true>();
  for (const {from, to, manifests} of steps) {
    for (const digest of manifests) {
      put.set(to, digest, true);
      read.set(from, digest, true);
    }
    for (const digest of manifests.slice(0, -1)) children.set(to, digest, true);
  }
  return {
    steps: steps.length,
    moves: steps.filter(({replaces}) => replaces !== null).length,
    present: present.length,
    skipped: skipped.length - present.length,
    manifests: put.size,
    blobs: counts,
    bytes: sizes.copy,
    bytesSaved: sizes.mount + sizes.present,
    requests: {
      source: sourceTags.size + read.size + counts.copy,
      destination:
        tags + tagged(steps) + children.size + steps.length + counts.mount + 2 * counts.copy,
    },
  };
}

function tagged(items: readonly {readonly tag?: string}[]): number {
  return items.filter(({tag}) => tag !== undefined).length;
}
