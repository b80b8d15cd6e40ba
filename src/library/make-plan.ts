import {unknownMediaTypes} from '../gitlab/media-types.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Report} from '../model/event.ts';
import {formatProblem} from '../model/file-problem.ts';
import type {SeenManifest} from '../model/manifest.ts';
import {parsePlace} from '../model/place.ts';
import type {Check, CopyPlan, Skip, Wish, WishFilters} from '../model/plan.ts';
import {parsePlatform} from '../model/platform.ts';
import {
  absentRepository,
  type Call,
  type Repositories,
  type RepositoryReader,
} from '../model/port.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {observeRoute, type RouteInventory, type RouteQuestion} from '../observe/observe-route.ts';
import {RepositoryFailures} from '../observe/repository-failures.ts';
import {ManifestBudget} from '../observe/seen-manifests.ts';
import {MemoizedReader, RecentManifests} from '../observe/memoized-reader.ts';
import {attachmentSubject} from '../plan/candidate.ts';
import {makeCopyPlan} from '../plan/copy-plan.ts';
import {type Naming, tagSelector} from '../plan/filters.ts';
import {type CopyEnd, type WantedRoute, type CopyWish, LATEST} from './copy-wish.ts';
import {observeDeletions} from './plan-deletions.ts';

/** What planning asks of places. */
export interface PlanRepositories extends Repositories {
  /** Whether a registry is a GitLab's with metadata database; false where it does not tell. */
  hasDatabase(registry: string, call: Call): Promise<boolean>;
}

/** A plan, with the manifests that were read for it, so that applying it at once need not read them again. */
export interface MadePlan {
  readonly plan: CopyPlan;
  readonly observed: ReadonlyMap<Digest, SeenManifest>;
}

/** Routes that are looked at at once: each of them waits for some answers before it asks the next. */
const ROUTES_AT_ONCE = 16;

/** Observes both sides of every route, then decides. Nothing is written anywhere. */
export async function makePlan(
  {wish, routes, findings, prune, since, platforms}: CopyWish,
  repositories: PlanRepositories,
  report: Report,
  call: Call,
): Promise<MadePlan> {
  // The filters are checked before anything is asked.
  const asked = routes.map((route) => selectionOf(route, wish, platforms === true));
  const readers = sourceReaders(routes, repositories);
  const failures = new RepositoryFailures();
  const budget = new ManifestBudget();
  let ended = 0;
  const results = await mapAtOnce(asked, ROUTES_AT_ONCE, async ({route, selection}) => {
    const what = route.source.repository;
    const tellTags = (done: number, total: number) =>
      report({type: 'observing', what, done, total});
    const question = {
      ...selection,
      source: readers.get(what) ?? repositories.source(what),
      destination: destinationOf(route, repositories),
      attachmentSubject,
      budget,
      progress: routes.length === 1 ? tellTags : () => undefined,
    };
    try {
      const seen = await observeRoute(question, call);
      for (const {repository} of [route.source, route.destination]) failures.answered(repository);
      return {seen: {...seen, wish: route.wish, single: selection.reference !== undefined}};
    } catch (error) {
      return {unseen: unseenRoute(route, wish, failures, error)};
    } finally {
      ended += 1;
      if (routes.length > 1)
        report({type: 'observing', what, done: ended, total: routes.length, unit: 'repositories'});
    }
  });
  const seen = results.flatMap((result) => result.seen ?? []);
  const unseen = results.flatMap((result) => result.unseen ?? []);
  const observed = new Map(seen.flatMap(({source}) => [...source.manifests]));
  const {deletions, checks: refused} = await observeDeletions(
    wish,
    prune,
    seen,
    repositories,
    call,
  );
  const {checks = [], skipped = [], creations = []} = findings ?? {};
  const types = await mediaTypeChecks(seen, repositories, call);
  const all = {
    creations,
    checks: [...checks, ...unseen.map(({check}) => check), ...refused, ...types],
    skipped: [...skipped, ...unseen.map(({skip}) => skip)],
  };
  return {plan: makeCopyPlan({wish, routes: seen, findings: all, deletions, since}), observed};
}

/**
 * Warns of manifests that a GitLab may refuse. Its registry is asked only where there are such: they are rare.
 */
async function mediaTypeChecks(
  routes: readonly RouteInventory[],
  repositories: PlanRepositories,
  call: Call,
): Promise<readonly Check[]> {
  const unknown = new Map<string, Set<string>>();
  for (const {source, destination} of routes) {
    for (const type of unknownMediaTypes(source.manifests.values())) {
      const types = unknown.get(destination.repository) ?? new Set();
      unknown.set(destination.repository, types.add(type));
    }
  }
  const hasDatabase = new Map<string, Promise<boolean>>();
  const checks: Check[] = [];
  for (const [repository, types] of unknown) {
    const place = parsePlace(repository);
    if (place.transport !== 'docker') continue;
    const {registry} = place.reference;
    const asked = hasDatabase.get(registry) ?? repositories.hasDatabase(registry, call);
    hasDatabase.set(registry, asked);
    if (!(await asked)) continue;
    checks.push({
      code: 'MEDIA_TYPE_UNKNOWN',
      result: 'warn',
      subject: repository,
      message: `${repository} gets manifests of types that GitLab's registry may refuse: ${[...types].join(', ')}`,
      hint: 'such an image fails alone when the plan is applied; leave it out, or ask the administrator of GitLab',
    });
  }
  return checks;
}

function destinationOf(
  {destination: {repository}, isAbsent}: WantedRoute,
  repositories: Repositories,
): RepositoryReader {
  return isAbsent === true ? absentRepository(repository) : repositories.destination(repository);
}

/**
 * A route of a migration file that cannot be looked at, so that one answer names all of them. What the source only
 * listed may be gone; anything else forbids the plan.
 * @throws the error itself where nobody gains by looking at the others: of a single copy, or of a registry as a whole
 */
function unseenRoute(
  {source: {repository}, destination, wish, isListed}: WantedRoute,
  {routes}: Wish,
  failures: RepositoryFailures,
  thrown: unknown,
): {readonly check: Check; readonly skip: Skip} {
  const at = routes[wish]?.at;
  if (at === undefined) throw thrown;
  const isOfSource = !(thrown instanceof TransshipError) || thrown.side === 'source';
  const subject = isOfSource ? repository : destination.repository;
  const {code, message, hint} = failures.ofOne(subject, thrown);
  const isGone = isListed === true && code === 'REPOSITORY_NOT_FOUND';
  return {
    check: {
      code,
      result: isGone ? 'warn' : 'forbid',
      subject,
      message: formatProblem({...at, message}),
      hint: `${hint}; or leave ${repository} out with "exclude"`,
    },
    skip: {reason: isGone ? 'gone' : 'incomplete', from: repository, detail: message},
  };
}

/** Which images of a route are wanted. */
type Selection = Pick<
  RouteQuestion,
  | 'reference'
  | 'toTag'
  | 'unnamedAs'
  | 'select'
  | 'conversion'
  | 'configs'
  | 'cutsIndexes'
  | 'readAll'
>;

/** Which images are wanted in another form. */
function conversionOf({
  convertSchema1,
  includeForeign,
  convertForeign,
}: WishFilters): Pick<Selection, 'conversion'> {
  if (convertSchema1 !== true && includeForeign !== true && convertForeign !== true) return {};
  return {
    conversion: {
      schema1: convertSchema1 === true,
      includeForeign: includeForeign === true,
      convertForeign: convertForeign === true,
    },
  };
}

/**
 * @param readsPlatforms whatever the filters
 * @throws TransshipError FILTER_INVALID, PLATFORM_INVALID
 */
function selectionOf(
  route: WantedRoute,
  {routes}: Wish,
  readsPlatforms: boolean,
): {readonly route: WantedRoute; readonly selection: Selection} {
  const {source, destination, toTag} = route;
  const filters = routes[route.wish]?.filters ?? {};
  const {tag, digest} = source;
  const isSingle = tag !== undefined || digest !== undefined || toTag !== undefined;
  const select = tagSelector(filters, namingOf(source, destination));
  filters.platforms?.forEach(parsePlatform);
  const cutsIndexes = (filters.platforms?.length ?? 0) > 0;
  const times = filters.newest !== undefined || filters.newerThan !== undefined;
  const platforms = cutsIndexes || readsPlatforms;
  const selection = {
    ...(isSingle ? {reference: {...(tag ? {tag} : {}), ...(digest ? {digest} : {})}} : {}),
    ...(toTag === undefined ? {} : {toTag}),
    ...(destination.isLayout ? {} : {unnamedAs: LATEST}),
    select,
    ...conversionOf(filters),
    ...(times || platforms ? {configs: {times, platforms}} : {}),
    cutsIndexes,
    readAll: times || cutsIndexes,
  };
  return {route, selection};
}

/** The sources that are copied to several destinations: each request to them is sent once for all routes. */
function sourceReaders(
  routes: readonly WantedRoute[],
  repositories: Repositories,
): ReadonlyMap<string, RepositoryReader> {
  const bySource = Map.groupBy(routes, ({source}) => source.repository);
  const recent = new RecentManifests();
  return new Map(
    [...bySource]
      .filter(([, {length}]) => length > 1)
      .map(([name]) => [name, new MemoizedReader(repositories.source(name), recent)]),
  );
}

function namingOf(source: CopyEnd, destination: CopyEnd): Naming {
  if (!source.isLayout) return 'tags';
  return destination.isLayout ? 'names' : 'names-to-tags';
}
