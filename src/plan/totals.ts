import type {BlobAction, CopyStep, PlanTotals, Skip} from '../model/plan.ts';

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
  const byAction = Map.groupBy(blobs, ({action}) => action);
  const count = (action: BlobAction['action']) => byAction.get(action)?.length ?? 0;
  const bytes = (action: BlobAction['action']) =>
    (byAction.get(action) ?? []).reduce((sum, {size}) => sum + size, 0);
  const present = skipped.filter((skip) => skip.reason === 'present');
  const sourceTags = new Set([
    ...steps.flatMap(({from, sourceTag}) => (sourceTag ? [`${from}:${sourceTag.name}`] : [])),
    ...present.flatMap(({from, tag}) => (tag === undefined ? [] : [`${from}:${tag}`])),
  ]);
  const tags = tagged(steps) + tagged(present);
  const put = new Set(
    steps.flatMap((step) => step.manifests.map((digest) => `${step.to} ${digest}`)),
  );
  const children = new Set(
    steps.flatMap((step) => step.manifests.slice(0, -1).map((digest) => `${step.to} ${digest}`)),
  );
  const read = new Set(
    steps.flatMap((step) => step.manifests.map((digest) => `${step.from} ${digest}`)),
  );
  return {
    steps: steps.length,
    moves: steps.filter(({replaces}) => replaces !== null).length,
    present: present.length,
    skipped: skipped.length - present.length,
    manifests: put.size,
    blobs: {
      copy: count('copy'),
      mount: count('mount'),
      present: count('present'),
      foreign: count('foreign'),
    },
    bytes: bytes('copy'),
    bytesSaved: bytes('mount') + bytes('present'),
    requests: {
      source: sourceTags.size + read.size + count('copy'),
      destination:
        tags + tagged(steps) + children.size + steps.length + count('mount') + 2 * count('copy'),
    },
  };
}

function tagged(items: readonly {readonly tag?: string}[]): number {
  return items.filter(({tag}) => tag !== undefined).length;
}
