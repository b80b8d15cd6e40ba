import type {Digest} from '../model/digest.ts';
import {formatProblem} from '../model/file-problem.ts';
import {nameOf} from '../model/place.ts';
import {
  type Check,
  type CopyPlan,
  type DeleteStep,
  PLAN_FORMAT,
  type PlannedManifest,
  type RouteWish,
  type Skip,
  type Wish,
} from '../model/plan.ts';
import {alikeTogether, blobActions} from './blob-actions.ts';
import {type Candidate, type ObservedRoute, targetOf} from './candidate.ts';
import * as checks from './checks.ts';
import {planId} from './plan-file.ts';
import {createSteps} from './create-steps.ts';
import {
  deleteId,
  type DeleteOrder,
  deleteSteps,
  type LeftThere,
  notDeletedChecks,
  type WantedDeletion,
} from './delete-steps.ts';
import {movedTags} from './moved-tags.ts';
import type {TaggedContent} from '../observe/observe-tagged.ts';
import {namedPlatforms} from './platforms.ts';
import {Presence} from './presence.ts';
import {candidatesOf, type RouteCandidates} from './route-candidates.ts';
import type {CreateRecord} from './schema-parts.ts';
import {copySteps} from './steps.ts';
import {sinceEarlier} from './since-earlier.ts';
import {totalsOf, withEstimates} from './totals.ts';
import {childBlobs, childManifests, type SeenManifest} from '../model/manifest.ts';

export interface CopyPlanInput {
  readonly wish: Wish;
  /** In the order in which their steps are to stand. Several may have the same source, or the same destination. */
  readonly routes: readonly CopyRoute[];
  /** What else was found out: about the wish itself, and about sources that could not be read. */
  readonly findings?: PlanFindings;
  /** Absent: nothing is deleted. */
  readonly deletions?: PlannedDeletions;
  /** What this plan brought is left out. */
  readonly since?: CopyPlan | undefined;
}

/** What a plan may delete, and what is known of the repositories in which it does. */
export interface PlannedDeletions {
  /** What else than what moves away from its source. */
  readonly wanted?: readonly WantedDeletion[];
  /** What was considered, and stays. */
  readonly left?: readonly LeftThere[];
  /** Of each repository in which something is deleted. */
  readonly contents: ReadonlyMap<string, TaggedContent>;
  /** More `pruned` tags than this forbid the plan. */
  readonly maxPruned?: number;
}

/** What a plan is to say besides what its routes come to. */
export interface PlanFindings {
  readonly checks: readonly Check[];
  readonly skipped: readonly Skip[];
  /** Groups and projects to create, parents first. */
  readonly creations?: readonly CreateRecord[];
}

/** One source repository, one destination repository, and the index of the wish that they belong to. */
export interface CopyRoute extends ObservedRoute {
  readonly wish: number;
}

/**
 * Computes what has to be done so that the wish comes true, from what was seen. Pure: the same routes give the same
 * plan, byte for byte, in whatever order the inventories list things.
 * @throws TransshipError FILTER_INVALID, PLATFORM_INVALID; INTERNAL where an inventory is not whole
 */
export function makeCopyPlan(input: CopyPlanInput): CopyPlan {
  const {wish, routes, findings} = input;
  const found = routes.map((route): RouteSelection => {
    const filters = wish.routes[route.wish]?.filters ?? {};
    return {wish: route.wish, ...candidatesOf(route, filters)};
  });
  const {candidates: all, conflicts} = withoutDuplicates(found, wish);
  const {candidates, skipped: earlier} = sinceEarlier(all, input.since);
  const presence = new Presence(routes.map(({destination}) => destination));
  for (const candidate of candidates) presence.follow(candidate);
  const [done, toDo] = partition(candidates, (candidate) => presence.isDone(candidate));
  const blobs = alikeTogether(blobActions([...toDo, ...done], presence));
  const manifests = plannedManifests([...toDo, ...done]);
  const copies = withEstimates(copySteps(toDo, presence), manifests, blobs);
  const skipped = [
    ...done.map(presentSkip),
    ...earlier,
    ...found.flatMap((route) => route.skipped),
    ...(findings?.skipped ?? []),
  ];
  const deletions = deletionsIn(input, found);
  const content = {
    format: PLAN_FORMAT,
    kind: 'copy',
    wish,
    routes: routes.map(({source, destination, wish: index}) => ({
      from: source.repository,
      to: destination.repository,
      wish: index,
    })),
    steps: [...createSteps(findings?.creations ?? []), ...copies, ...deletions.steps],
    manifests,
    blobs,
    skipped,
    checks: [
      ...(findings?.checks ?? []),
      ...conflicts,
      ...found.flatMap((route) =>
        route.checks.map((check) => placed(check, wish.routes[route.wish])),
      ),
      ...newDigests(toDo),
      ...nothingSelected(wish, found, conflicts),
      ...deletions.checks,
      ...checks.stepChecks(copies, manifests, blobs),
    ],
    totals: totalsOf(copies, blobs, skipped),
  } as const;
  const {format, ...rest} = content;
  return {format, id: planId(content), ...rest};
}

/** What the plan deletes. What was asked for twice is deleted once: `moved`, which has to be verified. */
function deletionsIn(
  {wish, deletions}: CopyPlanInput,
  found: readonly RouteSelection[],
): DeleteOrder {
  if (deletions === undefined) return {steps: [], checks: []};
  const {wanted = [], left = [], contents, maxPruned} = deletions;
  const candidates = found.flatMap((route) => route.candidates);
  const moved =
    wish.deleteSource === true
      ? movedTags(
          candidates,
          found.flatMap(({skipped}) => skipped),
        )
      : {wanted: [], left: [], checks: []};
  const ids = new Set(moved.wanted.map(deleteId));
  const others = wanted.filter((one) => !ids.has(deleteId(one)));
  const all = deleteSteps([...moved.wanted, ...others], afterCopies(contents, candidates));
  return {
    steps: all.steps,
    checks: [
      ...moved.checks,
      ...tooManyPruned(all.steps, maxPruned),
      ...notDeletedChecks([...moved.left, ...left]),
      ...all.checks,
    ],
  };
}

/** Deletions come after the copies: what those bring must not go with what is deleted. */
function afterCopies(
  contents: ReadonlyMap<string, TaggedContent>,
  candidates: readonly Candidate[],
): ReadonlyMap<string, TaggedContent> {
  const byRepository = Map.groupBy(candidates, ({destination: {repository}}) => repository);
  return new Map(
    [...contents].map(([repository, content]) => {
      const [tags, below] = [new Map(content.tags), new Map(content.below)];
      for (const {tag, digest, graph} of byRepository.get(repository) ?? []) {
        if (tag === undefined) continue;
        tags.set(tag, digest);
        const parts = graph?.manifests.map(({descriptor}) => descriptor.digest) ?? [];
        if (parts.length > 1) below.set(digest, new Set(parts.filter((part) => part !== digest)));
      }
      return [repository, {...content, tags, below}];
    }),
  );
}

function tooManyPruned(
  steps: readonly DeleteStep[],
  most = Number.POSITIVE_INFINITY,
): readonly Check[] {
  const {length} = steps.filter(({reason}) => reason === 'pruned');
  if (length <= most) return [];
  return [
    {
      code: 'TOO_MANY_DELETES',
      result: 'forbid',
      subject: 'prune',
      message: `${length} tags would be deleted because the source no longer has them, and "prune" allows ${most}`,
      hint: 'check that the source is complete; then raise "maxDeletes", or write "prune: false"',
    },
  ];
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
interface RouteSelection extends RouteCandidates {
  readonly wish: number;
}

/** A wish of which filters leave nothing. One that forbids already says why, and better. */
function nothingSelected(
  {routes}: Wish,
  found: readonly RouteSelection[],
  conflicts: readonly Check[],
): readonly Check[] {
  const byWish = Map.groupBy(found, ({wish}) => wish);
  return routes.flatMap((route, index) => {
    const {source, filters} = route;
    const own = byWish.get(index) ?? [];
    if (filters.allowEmpty === true || own.some(({candidates}) => candidates.length > 0)) return [];
    const skipped = own.flatMap((one) => one.skipped);
    const others = [...conflicts, ...own.flatMap((one) => one.checks)];
    const isKnown = others.some(({result}) => result === 'forbid');
    // What stays at the destination was selected, and is there in some form.
    const isKept = skipped.some(({reason}) => reason === 'kept' || reason === 'earlier');
    if (skipped.length === 0 || isKnown || isKept) return [];
    const isFiltered = skipped.some(({reason}) => reason === 'filtered');
    const hint = isFiltered ? undefined : others[0]?.hint;
    return [placed(checks.nothingSelectedCheck(source, skipped.length, hint), route)];
  });
}

/** What forbids a plan of a migration file names its line. */
function placed(check: Check, route: RouteWish | undefined): Check {
  if (check.result !== 'forbid' || route?.at === undefined) return check;
  return {...check, message: formatProblem({...route.at, message: check.message})};
}

/**
 * Each target once. Of two that want the same tag for different images the first is kept, and a check forbids the plan.
 * In a migration file so do two origins that have the same image today: next week they may not.
 * What has no tag is dropped where a tag brings the same manifest to the same repository.
 */
function withoutDuplicates(
  found: readonly RouteSelection[],
  {routes}: Wish,
): {readonly candidates: readonly Candidate[]; readonly conflicts: readonly Check[]} {
  const byTarget = new Map<string, {readonly candidate: Candidate; readonly wish: number}>();
  const conflicts: Check[] = [];
  const reached = new Set<string>();
  const nameIn = (candidate: Candidate, wish: number): string =>
    `${sourceName(candidate)}${routes.length > 1 ? ` (${originOf(routes[wish], wish)})` : ''}`;
  const isPlaced = (wish: number, {root, tag}: Candidate): boolean =>
    root.as === 'asked' && tag !== undefined && routes[wish]?.at !== undefined;
  for (const {candidates, wish} of found) {
    for (const candidate of candidates) {
      const target = targetOf(candidate);
      const first = byTarget.get(target);
      if (candidate.tag !== undefined) {
        reached.add(nameOf(candidate.destination.repository, undefined, candidate.digest));
      }
      if (!first) byTarget.set(target, {candidate, wish});
      else if (
        first.candidate.digest !== candidate.digest ||
        (isPlaced(wish, candidate) && !isSameOrigin(first.candidate, candidate))
      ) {
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

/** In an archive each image has its name at the source: routes that send one image to several places agree about it. */
function isSameOrigin({source, root}: Candidate, {destination, ...other}: Candidate): boolean {
  return (
    destination.repository.endsWith(`::${source.repository}`) &&
    other.source.repository === source.repository &&
    other.root.tag === root.tag
  );
}

/** Where a route was asked for. */
function originOf(route: RouteWish | undefined, index: number): string {
  if (route?.at === undefined) return `route ${index + 1}`;
  const {file, line, column} = route.at;
  return `${file}:${line}:${column}`;
}

function sourceName({source, root}: Candidate): string {
  const name = nameOf(source.repository, root.tag, root.digest);
  return root.tag === undefined ? name : `${name}@${root.digest}`;
}

function presentSkip({source, destination, root, tag, digest}: Candidate): Skip {
  const [from, to] = [source.repository, destination.repository];
  const named = {
    ...(tag === undefined ? {} : {tag}),
    ...(root.tag === undefined || root.tag === tag ? {} : {sourceTag: root.tag}),
  };
  return {reason: 'present', from, to, ...named, digest};
}

/** Every manifest once, as the candidates list them, children first. */
function plannedManifests(candidates: readonly Candidate[]): readonly PlannedManifest[] {
  const planned = new Map<Digest, PlannedManifest>();
  const platforms = namedPlatforms(new Set(candidates.map(({source}) => source)));
  for (const {graph, digest, cutFrom, conversions} of candidates) {
    for (const manifest of graph?.manifests ?? []) {
      const own = manifest.descriptor.digest;
      if (planned.has(own)) continue;
      const convertedFrom = conversions?.get(own);
      const isCut = own === digest && convertedFrom === undefined;
      // A converted image has the platform of the one that it was made from.
      const platform = platforms.get(own) ?? platforms.get(convertedFrom?.digest ?? own);
      planned.set(own, {
        ...plannedManifest(manifest, {cutFrom: isCut ? cutFrom : undefined, platform}),
        ...(convertedFrom === undefined ? {} : {convertedFrom}),
      });
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

/** What the manifest itself does not say. */
interface ManifestFacts {
  readonly cutFrom?: PlannedManifest['cutFrom'] | undefined;
  readonly platform?: string | undefined;
}

/** A manifest as plans have it: without its bytes. */
export function plannedManifest(
  {descriptor, view}: SeenManifest,
  {cutFrom, platform}: ManifestFacts = {},
): PlannedManifest {
  const {digest, mediaType, size} = descriptor;
  const subject = view.kind === 'schema1' ? undefined : view.subject?.digest;
  return {
    digest,
    mediaType,
    size,
    manifests: [...new Set(childManifests(view).map((child) => child.digest))],
    blobs: [...new Set(childBlobs(view).map((child) => child.digest))],
    ...(platform === undefined ? {} : {platform}),
    ...(subject === undefined ? {} : {subject}),
    ...(cutFrom === undefined ? {} : {cutFrom}),
  };
}
