import type {Digest} from '../model/digest.ts';
import {imageName} from '../model/place.ts';
import {
  type Check,
  type CopyPlan,
  PLAN_FORMAT,
  type PlannedManifest,
  type RouteWish,
  type Skip,
  type Wish,
} from '../model/plan.ts';
import {alikeTogether, blobActions} from './blob-actions.ts';
import {type Candidate, type Route, targetOf} from './candidate.ts';
import * as checks from './checks.ts';
import {planId} from './plan-file.ts';
import {Presence} from './presence.ts';
import {candidatesOf, type RouteCandidates} from './route-candidates.ts';
import {copySteps} from './steps.ts';
import {totalsOf, withEstimates} from './totals.ts';
import {childBlobs, childManifests, type SeenManifest} from '../model/manifest.ts';

export interface CopyPlanInput {
  readonly wish: Wish;
  /** In the order in which their steps are to stand. Several may have the same source, or the same destination. */
  readonly routes: readonly CopyRoute[];
}

/** One source repository, one destination repository, and the index of the wish that they belong to. */
export interface CopyRoute extends Route {
  readonly wish: number;
}

/**
 * Computes what has to be done so that the wish comes true, from what was seen. Pure: the same routes give the same
 * plan, byte for byte, in whatever order the inventories list things.
 * @throws TransshipError FILTER_INVALID, PLATFORM_INVALID; INTERNAL where an inventory is not whole
 */
export function makeCopyPlan({wish, routes}: CopyPlanInput): CopyPlan {
  const found = routes.map((route): Found => {
    const filters = wish.routes[route.wish]?.filters ?? {};
    return {wish: route.wish, ...candidatesOf(route, filters)};
  });
  const {candidates, conflicts} = withoutDuplicates(found, wish);
  const presence = new Presence(routes.map(({destination}) => destination));
  for (const candidate of candidates) presence.follow(candidate);
  const [done, toDo] = partition(candidates, (candidate) => presence.isDone(candidate));
  const blobs = alikeTogether(blobActions([...toDo, ...done], presence));
  const manifests = plannedManifests([...toDo, ...done]);
  const steps = withEstimates(copySteps(toDo, presence), manifests, blobs);
  const skipped = [...done.map(presentSkip), ...found.flatMap((route) => route.skipped)];
  const content = {
    format: PLAN_FORMAT,
    kind: 'copy',
    wish,
    routes: routes.map(({source, destination, wish: index}) => ({
      from: source.repository,
      to: destination.repository,
      wish: index,
    })),
    steps,
    manifests,
    blobs,
    skipped,
    checks: [
      ...conflicts,
      ...found.flatMap((route) => route.checks),
      ...newDigests(toDo),
      ...wish.routes.flatMap((one, index) =>
        nothingSelected(
          one,
          found.filter((route) => route.wish === index),
          conflicts,
        ),
      ),
      ...checks.stepChecks(steps, manifests, blobs),
    ],
    totals: totalsOf(steps, blobs, skipped),
  } as const;
  const {format, ...rest} = content;
  return {format, id: planId(content), ...rest};
}

/** Of sources without manifests: what is copied from them has a digest that nobody has seen. */
function newDigests(candidates: readonly Candidate[]): readonly Check[] {
  const bySource = Map.groupBy(candidates, ({source}) => source.repository);
  return [...bySource].flatMap(([repository, copied]) => {
    const why = copied[0]?.source.whyNewDigests;
    return why === undefined ? [] : [checks.newDigestsCheck(repository, copied, why)];
  });
}

/** What a route comes to, and the index of its wish. */
interface Found extends RouteCandidates {
  readonly wish: number;
}

/** One that forbids already says why, and better. */
function nothingSelected(
  {source, filters}: RouteWish,
  found: readonly Found[],
  conflicts: readonly Check[],
): readonly Check[] {
  if (filters.allowEmpty === true || found.some(({candidates}) => candidates.length > 0)) return [];
  const skipped = found.flatMap((route) => route.skipped);
  const others = [...conflicts, ...found.flatMap((route) => route.checks)];
  const isKnown = others.some(({result}) => result === 'forbid');
  // What stays at the destination was selected, and is there in some form.
  const isKept = skipped.some(({reason}) => reason === 'kept');
  if (skipped.length === 0 || isKnown || isKept) return [];
  const isFiltered = skipped.some(({reason}) => reason === 'filtered');
  const hint = isFiltered ? undefined : others[0]?.hint;
  return [checks.nothingSelectedCheck(source, skipped.length, hint)];
}

/**
 * Each target once. Of two that want the same tag for different images the first is kept, and a check forbids the plan.
 * What has no tag is dropped where a tag brings the same manifest to the same repository.
 */
function withoutDuplicates(
  found: readonly Found[],
  {routes}: Wish,
): {readonly candidates: readonly Candidate[]; readonly conflicts: readonly Check[]} {
  const byTarget = new Map<string, {readonly candidate: Candidate; readonly wish: number}>();
  const conflicts: Check[] = [];
  const reached = new Set<string>();
  const nameIn = (candidate: Candidate, wish: number): string =>
    `${sourceName(candidate)}${routes.length > 1 ? ` (${originOf(routes[wish], wish)})` : ''}`;
  for (const {candidates, wish} of found) {
    for (const candidate of candidates) {
      const target = targetOf(candidate);
      const first = byTarget.get(target);
      if (candidate.tag !== undefined) {
        reached.add(imageName(candidate.destination.repository, undefined, candidate.digest));
      }
      if (!first) byTarget.set(target, {candidate, wish});
      else if (first.candidate.digest !== candidate.digest) {
        const names = [nameIn(first.candidate, first.wish), nameIn(candidate, wish)] as const;
        conflicts.push(checks.conflictCheck(target, names));
      }
    }
  }
  const kept = [...byTarget].filter(
    ([target, {candidate}]) => candidate.tag !== undefined || !reached.has(target),
  );
  return {candidates: kept.map(([, {candidate}]) => candidate), conflicts};
}

/** Where a route was asked for. */
function originOf(route: RouteWish | undefined, index: number): string {
  return route?.at === undefined ? `route ${index + 1}` : `${route.at.file}:${route.at.line}`;
}

function sourceName({source, root}: Candidate): string {
  const name = imageName(source.repository, root.tag, root.digest);
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
