import {unknownMediaTypes} from '../gitlab/media-types.ts';
import {type Digest, isDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {
  archiveIndex,
  engineImageName,
  DIRECTORY_IMAGE,
  type FilePlace,
  repositoryInside,
  formatPlace,
  isSourceOnly,
  notADestination,
  parsePlace,
  type Place,
} from '../model/place.ts';
import {formatProblem} from '../model/file-problem.ts';
import type {Check, CopyPlan, Skip, Wish, WishFilters} from '../model/plan.ts';
import {
  formatRepository,
  isLayoutName,
  normalizedImage,
  splitLayoutName,
  type Tag,
} from '../model/reference.ts';
import type {Report} from '../model/event.ts';
import type {SeenManifest} from '../model/manifest.ts';
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
import {SharedReader} from '../observe/shared-reader.ts';
import {attachmentSubject} from '../plan/candidate.ts';
import {type Naming, tagSelector} from '../plan/filters.ts';
import {makeCopyPlan, type PlanFindings} from '../plan/copy-plan.ts';
import {observeDeletions, type PruneWish, throwUnlessDeletable} from './plan-deletions.ts';

/** One side of a copy. */
export interface CopyEnd {
  /** The repository as plans name it: `host/path`, or a transport with a file, such as `oci:DIR`. */
  readonly repository: string;
  /** A layout on this machine: its images have names by another grammar than tags, or none. */
  readonly isLayout: boolean;
  readonly tag?: Tag;
  readonly digest?: Digest;
}

/** What is asked for, and between which places. */
export interface CopyWish {
  readonly wish: Wish;
  readonly routes: readonly CopyRoute[];
  /** What was found out about the wish before anything was looked at. */
  readonly findings?: PlanFindings;
  readonly prune?: PruneWish;
  /** What this earlier plan brought is left out: it is elsewhere. */
  readonly since?: CopyPlan;
}

/** Two places that a wish names. */
export interface CopyRoute {
  /** The index of the wish for a route that it belongs to. */
  readonly wish: number;
  readonly source: CopyEnd;
  readonly destination: CopyEnd;
  /** The tag at the destination, where one image is copied and it gets one. A source without a name is that image. */
  readonly toTag?: Tag;
  /** The source was found in a list, not named: it may be gone meanwhile. */
  readonly isListed?: boolean;
  /** Nothing is at the destination, and it need not be asked: its project does not exist yet. */
  readonly isAbsent?: boolean;
}

/**
 * Reads the places of `copy SOURCE DESTINATION`. A source without tag and digest means all of its tags, but a layout means its only image where the
 * destination names a tag. A single image keeps its tag unless the destination names one.
 * @throws TransshipError REFERENCE_INVALID, TRANSPORT_UNKNOWN, TRANSPORT_UNSUPPORTED, USAGE
 */
export function readCopyWish(
  from: string,
  to: string,
  filters: WishFilters,
  {deleteSource = false}: {readonly deleteSource?: boolean | undefined} = {},
): CopyWish {
  const destinationPlace = parsePlace(to);
  if (isSourceOnly(destinationPlace)) throw notADestination(to);
  const [source, destination] = [copyEnd(parsePlace(from)), copyEnd(destinationPlace)];
  const isWhole = source.tag === undefined && source.digest === undefined;
  if (deleteSource) throwUnlessDeletable(from, source, destination);
  if (destination.digest !== undefined) {
    throw usage(
      `the destination ${to} names a digest`,
      'the digest follows from the source; name a tag or nothing',
    );
  }
  if (isWhole && destination.tag !== undefined && !source.isLayout) {
    throw usage(
      `${from} means all of its tags, but ${to} ${isDirectory(destination) ? 'holds one image' : 'names one'}`,
      isDirectory(destination)
        ? 'name a tag at the source, or copy into an image layout: oci:DIR'
        : 'name a tag at the source, or none at the destination',
    );
  }
  const isSingle = !isWhole || destination.tag !== undefined;
  if (isSingle && TAG_FILTERS.some((filter) => filters[filter] !== undefined)) {
    throw usage(
      `${from} is one image, and the filters of tags choose among many`,
      'leave the tag or digest out, or the filters',
    );
  }
  const toTag = destination.tag ?? tagAt(destination, source.tag);
  if (source.tag !== undefined && toTag === undefined) {
    throw usage(`the name ${source.tag} contains no tag`, `name one at the destination: ${to}:TAG`);
  }
  const [named, namedTo] = [formatPlace(parsePlace(from)), formatPlace(parsePlace(to))];
  return {
    wish: {
      routes: [{source: named, destination: namedTo, filters}],
      ...(deleteSource ? {deleteSource} : {}),
    },
    routes: [{wish: 0, source, destination, ...(toTag === undefined ? {} : {toTag})}],
  };
}

function isDirectory({repository}: CopyEnd): boolean {
  return repository.startsWith('dir:');
}

/** What an image with this name is called at the destination; undefined: it has to be named there. */
function tagAt({isLayout}: CopyEnd, name: Tag | undefined): Tag | undefined {
  return isLayout || name === undefined ? name : splitLayoutName(name).tag;
}

const TAG_FILTERS = ['tags', 'excludeTags', 'semver', 'newest', 'newerThan'] as const;

function copyEnd(place: Place): CopyEnd {
  switch (place.transport) {
    case 'docker': {
      const {tag, digest} = place.reference;
      return {
        repository: formatRepository(place.reference),
        isLayout: false,
        ...(tag ? {tag} : {}),
        ...(digest ? {digest} : {}),
      };
    }
    case 'oci':
    case 'oci-archive': {
      const {transport, file, ref} = place;
      if (place.repository !== undefined) return endInside(place, place.repository);
      const repository = `${transport}:${file}`;
      if (ref === undefined) return {repository, isLayout: true};
      if (isDigest(ref)) return {repository, isLayout: true, digest: ref};
      if (isLayoutName(ref)) return {repository, isLayout: true, tag: ref};
      throw usage(
        `"${ref}" in ${repository}:${ref} is neither a name nor a digest`,
        'name one of its images, such as v1 or team/app:v1, or write @sha256:… after the folder',
      );
    }
    case 'dir':
      return {repository: formatPlace(place), isLayout: true, tag: DIRECTORY_IMAGE};
    case 'docker-archive': {
      const {file, ref} = place;
      const repository = `docker-archive:${file}`;
      if (archiveIndex(ref) !== undefined) return {repository: formatPlace(place), isLayout: true};
      if (ref === undefined) return {repository, isLayout: true};
      if (isDigest(ref)) return {repository, isLayout: true, digest: ref};
      if (normalizedImage(ref) === undefined) {
        throw usage(
          `"${ref}" in ${repository}:${ref} names no image`,
          'write a name such as busybox:1.35, or @0 for the first image',
        );
      }
      const isTagged = ref.lastIndexOf(':') > ref.lastIndexOf('/');
      return {repository, isLayout: true, tag: (isTagged ? ref : `${ref}:${LATEST}`) as Tag};
    }
    case 'docker-daemon':
    case 'containers-storage':
      return {repository: formatPlace(place), isLayout: true, tag: engineImageName(place.ref)};
  }
}

/** A repository in a layout: its images have tags, as in a registry. */
export function endInside({ref, ...place}: FilePlace, repository: string): CopyEnd {
  const named = ref === undefined ? {} : isDigest(ref) ? {digest: ref} : {tag: ref as Tag};
  return {repository: repositoryInside(place, repository), isLayout: false, ...named};
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}

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
  {wish, routes, findings, prune, since}: CopyWish,
  repositories: PlanRepositories,
  report: Report,
  call: Call,
): Promise<MadePlan> {
  // The filters are checked before anything is asked.
  const asked = routes.map((route) => selectionOf(route, wish));
  const readers = sourceReaders(routes, repositories);
  const failures = new RepositoryFailures();
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
  {destination: {repository}, isAbsent}: CopyRoute,
  repositories: Repositories,
): RepositoryReader {
  return isAbsent === true ? absentRepository(repository) : repositories.destination(repository);
}

/**
 * A route of a migration file that cannot be looked at, so that one answer names all of them. What the source only listed
 * may be gone; anything else forbids the plan.
 * @throws the error itself where nobody gains by looking at the others: of a single copy, or of a registry as a whole
 */
function unseenRoute(
  {source: {repository}, destination, wish, isListed}: CopyRoute,
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
  'reference' | 'toTag' | 'unnamedAs' | 'select' | 'conversion' | 'configs' | 'readAll'
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

/** @throws TransshipError FILTER_INVALID, PLATFORM_INVALID */
function selectionOf(
  route: CopyRoute,
  {routes}: Wish,
): {readonly route: CopyRoute; readonly selection: Selection} {
  const {source, destination, toTag} = route;
  const filters = routes[route.wish]?.filters ?? {};
  const {tag, digest} = source;
  const isSingle = tag !== undefined || digest !== undefined || toTag !== undefined;
  const select = tagSelector(filters, namingOf(source, destination));
  filters.platforms?.forEach(parsePlatform);
  const looksInside =
    filters.newest !== undefined ||
    filters.newerThan !== undefined ||
    (filters.platforms?.length ?? 0) > 0;
  const selection = {
    ...(isSingle ? {reference: {...(tag ? {tag} : {}), ...(digest ? {digest} : {})}} : {}),
    ...(toTag === undefined ? {} : {toTag}),
    ...(destination.isLayout ? {} : {unnamedAs: LATEST}),
    select,
    ...conversionOf(filters),
    configs: looksInside,
    readAll: looksInside,
  };
  return {route, selection};
}

/** The sources that go to several destinations: each answers a question once, whichever route has it. */
function sourceReaders(
  routes: readonly CopyRoute[],
  repositories: Repositories,
): ReadonlyMap<string, RepositoryReader> {
  const bySource = Map.groupBy(routes, ({source}) => source.repository);
  return new Map(
    [...bySource]
      .filter(([, {length}]) => length > 1)
      .map(([name]) => [name, new SharedReader(repositories.source(name))]),
  );
}

/** What docker, crane and skopeo call an image where nobody says how. */
const LATEST = 'latest' as Tag;

function namingOf(source: CopyEnd, destination: CopyEnd): Naming {
  if (!source.isLayout) return 'tags';
  return destination.isLayout ? 'names' : 'names-to-tags';
}
