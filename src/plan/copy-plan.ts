import type {Digest} from '../model/digest.ts';
import {
  type BlobAction,
  type Check,
  type CopyPlan,
  type CopyStep,
  PLAN_FORMAT,
  type PlannedManifest,
  type PlanTotals,
  type Skip,
  type Wish,
} from '../model/plan.ts';
import {blobActions} from './blob-actions.ts';
import {type Candidate, nameOf, type Route, targetOf} from './candidate.ts';
import * as checks from './checks.ts';
import {planId} from './plan-file.ts';
import {Presence} from './presence.ts';
import {candidatesOf} from './route-candidates.ts';
import {copySteps} from './steps.ts';
import {childBlobs, childManifests, type SeenManifest} from '../model/manifest.ts';
import {ByPlace} from './by-place.ts';

export interface CopyPlanInput {
  readonly wish: Wish;
  /** In the order in which their steps are to stand. */
  readonly routes: readonly Route[];
}

/**
 * Computes what has to be done so that the wish comes true, from what was seen. Pure: the same routes give the same
 * plan, byte for byte, in whatever order the inventories list things.
 * @throws TransshipError FILTER_INVALID, PLATFORM_INVALID; INTERNAL where an inventory is not whole
 */
export function makeCopyPlan({wish, routes}: CopyPlanInput): CopyPlan {
  const found = routes.map((route) => candidatesOf(route, wish.filters));
  const {candidates, conflicts} = withoutDuplicates(found.flatMap((route) => route.candidates));
  const presence = new Presence(routes.map(({destination}) => destination));
  for (const candidate of candidates) presence.follow(candidate);
  const [done, toDo] = partition(candidates, (candidate) => presence.isDone(candidate));
  const steps = copySteps(toDo, presence);
  const blobs = blobActions([...toDo, ...done], presence);
  const manifests = plannedManifests([...toDo, ...done]);
  const skipped = [...done.map(presentSkip), ...found.flatMap((route) => route.skipped)];
  const routeChecks = [...conflicts, ...found.flatMap((route) => route.checks)];
  const content = {
    format: PLAN_FORMAT,
    kind: 'copy',
    wish,
    steps,
    manifests,
    blobs,
    skipped,
    checks: [
      ...routeChecks,
      ...nothingSelected(wish, candidates.length, skipped, routeChecks),
      ...stepChecks(steps, manifests, blobs),
    ],
    totals: totalsOf(steps, blobs, skipped),
  } as const;
  return {...content, id: planId(content)};
}

/** One that forbids already says why, and better. */
function nothingSelected(
  wish: Wish,
  candidates: number,
  skipped: readonly Skip[],
  others: readonly Check[],
): readonly Check[] {
  const isKnown = others.some(({result}) => result === 'forbid');
  // What stays at the destination was selected, and is there in some form.
  const isKept = skipped.some(({reason}) => reason === 'kept');
  if (candidates > 0 || skipped.length === 0 || isKnown || isKept) return [];
  if (wish.filters.allowEmpty === true) return [];
  const isFiltered = skipped.some(({reason}) => reason === 'filtered');
  const hint = isFiltered ? undefined : others[0]?.hint;
  return [checks.nothingSelectedCheck(wish.source, skipped.length, hint)];
}

/**
 * Each target once. Of two that want the same tag for different images the first is kept, and a check forbids the plan.
 * What has no tag is dropped where a tag brings the same manifest to the same repository.
 */
function withoutDuplicates(candidates: readonly Candidate[]): {
  readonly candidates: readonly Candidate[];
  readonly conflicts: readonly Check[];
} {
  const byTarget = new Map<string, Candidate>();
  const conflicts: Check[] = [];
  const reached = new Set<string>();
  for (const candidate of candidates) {
    const target = targetOf(candidate);
    const first = byTarget.get(target);
    if (candidate.tag !== undefined) {
      reached.add(nameOf(candidate.destination.repository, undefined, candidate.digest));
    }
    if (!first) byTarget.set(target, candidate);
    else if (first.digest !== candidate.digest) {
      conflicts.push(checks.conflictCheck(target, [sourceName(first), sourceName(candidate)]));
    }
  }
  const kept = [...byTarget].filter(([target, {tag}]) => tag !== undefined || !reached.has(target));
  return {candidates: kept.map(([, candidate]) => candidate), conflicts};
}

function sourceName({source, root}: Candidate): string {
  const name = nameOf(source.repository, root.tag, root.digest);
  return root.tag === undefined ? name : `${name}@${root.digest}`;
}

function presentSkip({source, destination, tag, digest}: Candidate): Skip {
  const [from, to] = [source.repository, destination.repository];
  return {reason: 'present', from, to, ...(tag === undefined ? {} : {tag}), digest};
}

/** Every manifest once, as the candidates list them, children first. */
function plannedManifests(candidates: readonly Candidate[]): readonly PlannedManifest[] {
  const planned = new Map<Digest, PlannedManifest>();
  for (const {graph, digest, cutFrom} of candidates) {
    for (const manifest of graph?.manifests ?? []) {
      const own = manifest.descriptor.digest;
      if (planned.has(own)) continue;
      planned.set(own, plannedManifest(manifest, own === digest ? cutFrom : undefined));
    }
  }
  return [...planned.values()];
}

function stepChecks(
  steps: readonly CopyStep[],
  manifests: readonly PlannedManifest[],
  blobs: readonly BlobAction[],
): readonly Check[] {
  const blobsOf = new Map(manifests.map((manifest) => [manifest.digest, manifest.blobs]));
  const foreign = new Set(
    blobs.flatMap(({action, to, digest}) => (action === 'foreign' ? [`${to} ${digest}`] : [])),
  );
  return steps.flatMap((step) => {
    const target = nameOf(step.to, step.tag, step.digest);
    const layers =
      foreign.size === 0 ? [] : step.manifests.flatMap((digest) => blobsOf.get(digest) ?? []);
    const absent = [...new Set(layers)].filter((digest) =>
      foreign.has(`${step.to} ${digest}`),
    ).length;
    return [
      ...(step.replaces === null ? [] : [checks.tagMovesCheck(target, step.replaces, step.digest)]),
      ...(absent === 0 ? [] : [checks.foreignLayersCheck(target, absent)]),
    ];
  });
}

function partition<T>(
  items: readonly T[],
  test: (item: T) => boolean,
): readonly [readonly T[], readonly T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}

/** A manifest as plans have it: without its bytes. */
export function plannedManifest(
  {descriptor, view}: SeenManifest,
  cutFrom: PlannedManifest['cutFrom'],
): PlannedManifest {
  const {digest, mediaType, size} = descriptor;
  const subject = view.kind === 'schema1' ? undefined : view.subject?.digest;
  return {
    digest,
    mediaType,
    size,
    manifests: [...new Set(childManifests(view).map((child) => child.digest))],
    blobs: [...new Set(childBlobs(view).map((child) => child.digest))],
    ...(subject === undefined ? {} : {subject}),
    ...(cutFrom === undefined ? {} : {cutFrom}),
  };
}

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
