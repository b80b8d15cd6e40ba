import {type FilePosition, formatProblem} from '../../model/file-problem.ts';
import {registryPathOf, whyNotImagePath} from '../../model/gitlab-naming.ts';
import type {Check, RouteWish, Wish} from '../../model/plan.ts';
import {DOCKER_HUB, isRepositoryPath} from '../../model/reference.ts';
import {compareText} from '../compare.ts';
import {fillDestination, type MatchedRepository} from './destination-template.ts';
import {
  type CopyMigration,
  type PlacedText,
  type RegistryRoot,
  type Route,
  routeFilters,
} from './migration.ts';
import {joinPath, rootedPath} from './registry-path.ts';
import {literalParent, repositoryGlob} from './repository-glob.ts';

/** A source repository and one of its destinations, as `host/path`. */
export interface RepositoryMapping {
  readonly source: string;
  readonly destination: string;
  /** The full path of the GitLab project, if the route names it. */
  readonly project?: string;
  /** The position of the destination in the file. */
  readonly at: FilePosition;
  /** The index of its `RouteWish`. */
  readonly wish: number;
  /**
   * A glob found it in the list of the source or in a file, so it may no longer exist, or this login may have no
   * access.
   */
  readonly isListed: boolean;
}

/** The routes of a migration as wishes of a plan, and the repositories that they select. */
export interface MappedMigration {
  /** A wish for each destination of each route. */
  readonly wish: Wish;
  /** Those with valid names as destinations. */
  readonly mappings: readonly RepositoryMapping[];
  readonly checks: readonly Check[];
}

/** Whether the repositories of a route's source must be listed. A name without wildcards does not need that. */
export function needsRepositories({from}: Route): boolean {
  return repositoryGlob(from.text).wildcards > 0;
}

/**
 * Maps repositories to their destinations. All routes that match a repository are used, so several routes may copy one
 * repository to several destinations.
 * @param now the time from which ages in filters are counted
 * @param repositoriesOf the paths in a route's source registry, or those in its file, each once and in the order of
 *   `compareText`. Not called for a route without wildcards
 */
export function mapRoutes(
  migration: CopyMigration,
  repositoriesOf: (route: Route) => readonly string[],
  now: Date,
): MappedMigration {
  const {file} = migration;
  const routes: RouteWish[] = [];
  const mappings: RepositoryMapping[] = [];
  const checks: Check[] = [];
  for (const route of migration.routes) {
    const matched = matchedRepositories(route, repositoriesOf);
    if (matched.length === 0) checks.push(nothingMatches(file, route));
    const filters = routeFilters(route, now);
    const source = rootedPath(route.source, route.from.text);
    for (const to of route.to) {
      const destination = rootedPath(to.root, to.text);
      const wish = routes.push({source, destination, filters, at: {file, ...to.at}}) - 1;
      for (const repository of matched) {
        const {mapping, written} = mapOne(route, to, repository);
        const why = whyNotMapping(mapping, to.root.registry);
        if (why !== undefined) {
          checks.push(invalidName(file, to, mapping, why));
          continue;
        }
        mappings.push({...mapping, at: to.at, wish, isListed: needsRepositories(route)});
        if (written !== mapping.destination) checks.push(rewrittenName(file, to, mapping, written));
      }
    }
  }
  const wish = {
    routes,
    ...(migration.deleteSource === 'afterVerify' ? {deleteSource: true} : {}),
  };
  return {wish, mappings, checks};
}

function nothingMatches(file: string, {from, source}: Route): Check {
  return {
    code: 'NOTHING_SELECTED',
    result: 'forbid',
    subject: rootedPath(source, from.text),
    message: formatProblem({
      file,
      ...from.at,
      message: `"${from.text}" matches no repository of ${rootedPath(source, '')}`,
    }),
    hint: 'correct "from" or "exclude", or remove the route; "transship inventory" lists the repositories',
  };
}

type MappedNames = Pick<RepositoryMapping, 'source' | 'destination' | 'project'>;

function invalidName(
  file: string,
  {at}: PlacedText,
  {source, destination}: MappedNames,
  why: string,
): Check {
  return {
    code: 'NAME_RESERVED',
    result: 'forbid',
    subject: destination,
    message: formatProblem({
      file,
      ...at,
      message: `${source} cannot go to ${destination}: ${why}`,
    }),
    hint: 'change "to"; {flat} joins the parts of a path with "-"',
  };
}

function rewrittenName(
  file: string,
  {at}: PlacedText,
  {source, destination}: MappedNames,
  written: string,
): Check {
  return {
    code: 'NAME_REWRITTEN',
    result: 'warn',
    subject: destination,
    message: formatProblem({
      file,
      ...at,
      message: `${source} goes to ${destination}, not to ${written}: registries allow lower case only`,
    }),
    hint: 'write "to" in lower case to see no difference',
  };
}

function matchedRepositories(
  route: Route,
  repositoriesOf: (route: Route) => readonly string[],
): readonly (MatchedRepository & {readonly full: string})[] {
  const {source, from} = route;
  const excluded = route.exclude.map(repositoryGlob);
  const isExcluded = (path: string) => excluded.some((each) => each.match(path) !== undefined);
  if (!needsRepositories(route)) {
    const path = from.text;
    return isExcluded(path) ? [] : [{path, captured: [], full: fullPath(source, path)}];
  }
  const glob = repositoryGlob(from.text);
  const below = source.prefix === '' ? '' : `${source.prefix}/`;
  const parent = joinPath(source.prefix, literalParent(from.text));
  const candidates = pathsBelow(repositoriesOf(route), parent === '' ? '' : `${parent}/`);
  return candidates.flatMap((full) => {
    const path = full.slice(below.length);
    const captured = glob.match(path);
    return captured === undefined || isExcluded(path) ? [] : [{path, captured, full}];
  });
}

/**
 * The sorted paths with this prefix. A binary search, because each of thousands of routes may select few of 100,000
 * paths.
 */
function pathsBelow(paths: readonly string[], beginning: string): readonly string[] {
  let [low, high] = [0, paths.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareText(paths[middle] ?? '', beginning) < 0) low = middle + 1;
    else high = middle;
  }
  const first = low;
  while (paths[low]?.startsWith(beginning) === true) low += 1;
  return paths.slice(first, low);
}

/** A name without a slash on Docker Hub is in `library/` (distribution/reference normalize.go, `splitDockerDomain`). */
function fullPath({registry, prefix}: RegistryRoot, path: string): string {
  const full = joinPath(prefix, path);
  return registry === DOCKER_HUB && !full.includes('/') ? `library/${full}` : full;
}

function mapOne(
  route: Route,
  to: Route['to'][number],
  repository: MatchedRepository & {readonly full: string},
): {readonly mapping: MappedNames; readonly written: string} {
  const {root} = to;
  const path = joinPath(root.prefix, fillDestination(to.text, repository));
  const mapping = {
    source: `${route.source.registry}/${repository.full}`,
    destination: `${root.registry}/${registryPathOf(path)}`,
    ...(route.project === undefined
      ? {}
      : {project: joinPath(root.prefix, fillDestination(route.project, repository))}),
  };
  return {mapping, written: `${root.registry}/${path}`};
}

function whyNotMapping({destination, project}: MappedNames, registry: string): string | undefined {
  const path = destination.slice(registry.length + 1);
  if (project !== undefined) return whyNotImagePath(path, project);
  if (isRepositoryPath(path)) return undefined;
  return path.length > 255
    ? 'the path has more than 255 characters'
    : `"${path}" is not a repository name: parts have lower-case letters and digits, with single ".", "_", "__" or "-" between them`;
}
