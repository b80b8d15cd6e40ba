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
import * as checks from './copy-checks.ts';
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
import {copySteps} from './copy-steps.ts';
import {sinceEarlier} from './since-earlier.ts';
import {totalsOf, withEstimates} from './totals.ts';
import {childBlobs, childManifests, type SeenManifest} from '../model/manifest.ts';

export interface CopyPlanInput {
  readonly wish: Wish;
  /** In the order of their steps. Several may have the same source or the same destination. */
  readonly routes: readonly CopyRoute[];
  /** Other findings: about the wish itself, and about sources that could not be read. */
  readonly findings?: PlanFindings;
  /** Absent: nothing is deleted. */
  readonly deletions?: PlannedDeletions;
  /** An earlier plan; images that it copied are skipped. */
  readonly since?: CopyPlan | undefined;
}

/** Tags that a plan may delete, and the content of the repositories that they are in. */
export interface PlannedDeletions {
  /** Tags to delete in addition to those that are moved from the source. */
  readonly wanted?: readonly WantedDeletion[];
  /** Tags that were considered and are kept. */
  readonly left?: readonly LeftThere[];
  /** The content of each repository in which something is deleted. */
  readonly contents: ReadonlyMap<string, TaggedContent>;
  /** If there are more `pruned` tags than this, the plan is forbidden. */
  readonly maxPruned?: number;
}

/** Findings of a plan that do not come from its routes. */
export interface PlanFindings {
  readonly checks: readonly Check[];
  readonly skipped: readonly Skip[];
  /** Groups and projects to create, parents first. */
  readonly creations?: readonly CreateRecord[];
}

/** A source repository, a destination repository, and the index of the wish that they belong to. */
export interface CopyRoute extends ObservedRoute {
  readonly wish: number;
}

/**
 * Computes the steps that fulfil the wish, from what was observed. Pure: the same routes give the same plan, byte for
 * byte, in whatever order the inventories list their content.
 * @throws TransshipError FILTER_INVALID, PLATFORM_INVALID; INTERNAL if an inventory is incomplete
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
        route.checks.map((check) => withPosition(check, wish.routes[route.wish])),
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

/**
 * The deletions of the plan. A tag that is requested twice is deleted once, as `moved`, because that requires
 * verification.
 */
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

/**
 * The content of the repositories after the copies, which come first: a deletion must not take along what they push.
 */
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

/** For sources without manifests: the digests of copied images are new. */
function newDigests(candidates: readonly Candidate[]): readonly Check[] {
  const bySource = Map.groupBy(candidates, ({source}) => source.repository);
  return [...bySource].flatMap(([repository, copied]) => {
    const why = copied[0]?.source.whyNewDigests;
    return why === undefined ? [] : [checks.newDigestsCheck(repository, copied, why)];
  });
}

/** The candidates of a route, and the index of its wish. */
interface RouteSelection extends RouteCandidates {
  readonly wish: number;
}

/** Checks for wishes of which the filters leave nothing. If another check already forbids the wish, it says why. */
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
    // Images that are kept at the destination were selected, and exist there in some form.
    const isKept = skipped.some(({reason}) => reason === 'kept' || reason === 'earlier');
    if (skipped.length === 0 || isKnown || isKept) return [];
    const isFiltered = skipped.some(({reason}) => reason === 'filtered');
    const hint = isFiltered ? undefined : others[0]?.hint;
    return [withPosition(checks.nothingSelectedCheck(source, skipped.length, hint), route)];
  });
}

/** Adds the position in the migration file to a check that forbids the plan. */
function withPosition(check: Check, route: RouteWish | undefined): Check {
  if (check.result !== 'forbid' || route?.at === undefined) return check;
  return {...check, message: formatProblem({...route.at, message: check.message})};
}

/**
 * Keeps one candidate for each target. If two have the same tag but different images, the first one is kept and a check
 * forbids the plan. In a migration file, two origins with the same image today conflict as well: the images may differ
 * next week. A candidate without a tag is dropped if a tag brings the same manifest to the same repository.
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

/**
 * In an archive, each image has the name that it has at the source, so routes to several destinations do not conflict.
 */
function isSameOrigin({source, root}: Candidate, {destination, ...other}: Candidate): boolean {
  return (
    destination.repository.endsWith(`::${source.repository}`) &&
    other.source.repository === source.repository &&
    other.root.tag === root.tag
  );
}

/** The position in the migration file that requests a route. */
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

/** Each manifest once, in the order of the candidates, children first. */
function plannedManifests(candidates: readonly Candidate[]): readonly PlannedManifest[] {
  const planned = new Map<Digest, PlannedManifest>();
  const platforms = namedPlatforms(new Set(candidates.map(({source}) => source)));
  for (const {graph, digest, cutFrom, conversions} of candidates) {
    for (const manifest of graph?.manifests ?? []) {
      const own = manifest.descriptor.digest;
      if (planned.has(own)) continue;
      const convertedFrom = conversions?.get(own);
      const isCut = own === digest && convertedFrom === undefined;
      // A converted image keeps the platform of its original.
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

/** Information that the manifest itself does not contain. */
interface ManifestFacts {
  readonly cutFrom?: PlannedManifest['cutFrom'] | undefined;
  readonly platform?: string | undefined;
}

/** A manifest as plans contain it, without its bytes. */
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
