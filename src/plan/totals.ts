import type {Digest} from '../model/digest.ts';
import type {BlobAction, CopyStep, PlanTotals, Skip} from '../model/plan.ts';
import {ByPlace} from './by-place.ts';

/**
 * Counts a plan. The requests are an estimate of what applying takes when nothing fails and no upload is large enough
 * for more than one chunk; token requests are not in it.
 * - source: a HEAD for each tag (to notice drift), a GET for each manifest that is put and for each blob that is copied.
 * - destination: a HEAD for each tag, and another just before it is written; a PUT for each child manifest once for each repository and for each step's own
 *   manifest, a POST for each mount, a POST and a PUT for each blob that is copied.
 */
export function totalsOf(
  steps: readonly CopyStep[],
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
    ...present.flatMap(({from, tag}) => (tag === undefined ? [] : [`${from}:${tag}`])),
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
