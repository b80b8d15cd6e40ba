import {dirname, isAbsolute, join} from 'node:path';
import {findSourceKind, type SourceKind} from '../discovery/source-kind.ts';
import {hostTokenVariable, parseGitLabUrl} from '../gitlab/connection.ts';
import {findDestinationProjects} from '../gitlab/destination-projects.ts';
import {listAll, type ListedRepositories, notARepository} from '../discovery/list-all.ts';
import {parseNameList} from '../discovery/name-list.ts';
import {TransshipError} from '../model/error.ts';
import {formatProblem} from '../model/file-problem.ts';
import type {Check, Skip} from '../model/plan.ts';
import type {UnlistedPart} from '../model/port.ts';
import {formatPlace, parsePlace} from '../model/place.ts';
import {isRepositoryPath, isWithin} from '../model/reference.ts';
import {repositoriesInside} from '../places/layout-repository.ts';
import {compareText} from '../plan/compare.ts';
import {type DestinationGitLab, decideProjects} from '../plan/migration/destination-projects.ts';
import {
  type ArchivePlace,
  mapFromArchive,
  mapIntoArchive,
} from '../plan/migration/archive-routes.ts';
import {
  mapRoutes,
  needsRepositories,
  type RepositoryMapping,
} from '../plan/migration/map-routes.ts';
import type {CopyMigration, Route} from '../plan/migration/migration.ts';
import {joinPath} from '../plan/migration/registry-path.ts';
import {literalParent} from '../plan/migration/repository-glob.ts';
import type {CopyWish} from './copy-wish.ts';
import type {Session} from './session.ts';
import {type NameListText, openSourceLister, readNameList} from './source-lister.ts';

/** What is wanted of a migration file besides what it says. */
export interface MigrationOptions {
  /** A layout or archive that everything is copied into, in place of the destinations in the file. */
  readonly to?: string;
  /** The same that everything is copied from, in place of the sources. */
  readonly from?: string;
  /** How hosts list their repositories, where that is not found by itself. */
  readonly sourceKind?: ReadonlyMap<string, SourceKind>;
}

/**
 * Finds the repositories that a migration file means, and where they go.
 * @throws TransshipError REPOSITORIES_NOT_LISTED, FILE_UNREADABLE, FILE_INVALID, and what a source answers
 */
export async function readMigrationWish(
  migration: CopyMigration,
  options: MigrationOptions,
  session: Session,
): Promise<CopyWish> {
  if (options.from !== undefined)
    return await readArchiveWish(migration, archiveOf(options.from, '--from'), options, session);
  const names = await readNames(migration, session);
  const sources = await listSources(migration, options, session);
  const listed = new Map(
    [...Map.groupBy(sources, ({registry}) => registry)].map(([registry, all]) => [
      registry,
      inOrder(all.flatMap(({repositories}) => repositories)),
    ]),
  );
  const repositoriesOf = (route: Route): readonly string[] =>
    names.get(route) ?? listed.get(route.source.registry) ?? [];
  const unlisted = sources.flatMap((source) =>
    source.unlisted.map(({part, error}) => unlistedPart(`${source.registry}/${part}`, error)),
  );
  if (options.to !== undefined) {
    const archive = archiveOf(options.to, '--to');
    const mapped = mapIntoArchive(migration, archive, repositoriesOf, session.now());
    return {
      wish: mapped.wish,
      routes: routesOf(mapped.mappings),
      findings: {
        checks: [...mapped.checks, ...unlisted.map(({check}) => check)],
        skipped: unlisted.map(({skip}) => skip),
      },
    };
  }
  const {wish, mappings, checks} = mapRoutes(migration, repositoriesOf, session.now());
  const {gitlabs, checks: kindChecks} = await findGitLabs(migration, mappings, session);
  const {creations, checks: projectChecks, absent} = decideProjects(migration, mappings, gitlabs);
  return {
    wish,
    routes: routesOf(mappings, absent),
    findings: {
      checks: [...checks, ...kindChecks, ...projectChecks, ...unlisted.map(({check}) => check)],
      skipped: unlisted.map(({skip}) => skip),
      creations,
    },
  };
}

/**
 * What a migration takes out of an archive that `--to` made, wherever the file's own sources are.
 * @throws TransshipError FILE_INVALID, FILE_UNREADABLE, and what a destination answers
 */
async function readArchiveWish(
  migration: CopyMigration,
  archive: ArchivePlace,
  options: MigrationOptions,
  session: Session,
): Promise<CopyWish> {
  const {places, reading} = session;
  const layout = places.source(formatPlace(archive));
  const repositories = inOrder(await repositoriesInside(layout, reading));
  if (repositories.length === 0) {
    const message = `${formatPlace(archive)} contains no repository of a migration`;
    const hint = 'name an archive that "plan FILE.yaml --to" was the plan of';
    throw new TransshipError('REPOSITORY_NOT_FOUND', message, {side: 'source', hint});
  }
  const {wish, mappings, checks, skipped} = mapFromArchive(
    migration,
    archive,
    repositories,
    session.now(),
  );
  const {gitlabs, checks: kindChecks} = await findGitLabs(migration, mappings, session);
  const {creations, checks: projectChecks, absent} = decideProjects(migration, mappings, gitlabs);
  return {
    wish,
    routes: routesOf(mappings, absent),
    findings: {checks: [...checks, ...kindChecks, ...projectChecks], skipped, creations},
  };
}

function routesOf(
  mappings: readonly RepositoryMapping[],
  absent: ReadonlySet<string> = new Set(),
): CopyWish['routes'] {
  return mappings.map(({source, destination, wish, isListed}) => ({
    wish,
    source: {repository: source, isLayout: false},
    destination: {repository: destination, isLayout: false},
    isListed,
    isAbsent: absent.has(destination),
  }));
}

/** @throws TransshipError USAGE where it is no place for several repositories */
function archiveOf(text: string, flag: string): ArchivePlace {
  const place = parsePlace(text);
  const isWhole = !('ref' in place) && !('repository' in place);
  if (isWhole && (place.transport === 'oci' || place.transport === 'oci-archive')) return place;
  throw new TransshipError('USAGE', `${flag} ${text} cannot hold several repositories`, {
    side: 'local',
    hint: `write ${flag} oci-archive:FILE, or oci:DIR`,
  });
}

/** A part of a source that cannot be listed: what is there may be meant, and is not copied. */
function unlistedPart(
  part: string,
  {code, message, hint}: TransshipError,
): {readonly check: Check; readonly skip: Skip} {
  return {
    check: {code, result: 'warn', subject: part, message: `${part} is left out: ${message}`, hint},
    skip: {reason: 'incomplete', from: part, detail: message},
  };
}

/** Paths each once, in the order that `mapRoutes` wants. */
function inOrder(paths: readonly string[]): readonly string[] {
  return [...new Set(paths)].sort(compareText);
}

/** The repositories of the routes that have a file of them. A file is read once, whichever routes name it. */
async function readNames(
  {file: migration, routes}: CopyMigration,
  session: Session,
): Promise<ReadonlyMap<Route, readonly string[]>> {
  const texts = new Map<string, NameListText>();
  const lists = new Map<string, readonly string[]>();
  const names = new Map<Route, readonly string[]>();
  for (const route of routes) {
    const {repositoriesFile: named, source} = route;
    if (named === undefined || !needsRepositories(route)) continue;
    const file = named === '-' || isAbsolute(named) ? named : join(dirname(migration), named);
    const read = texts.get(file) ?? (await readNameList(file, session));
    texts.set(file, read);
    // A name may begin with the host of the source: other sources read the same file differently.
    const key = `${source.registry} ${file}`;
    const list = lists.get(key) ?? namesIn(read, source.registry);
    lists.set(key, list);
    names.set(route, list);
  }
  return names;
}

function namesIn({text, name}: NameListText, registry: string): readonly string[] {
  return inOrder(parseNameList(text, name, registry, '').map(({repository}) => repository));
}

/** What one request for a list gave. */
interface ListedSource {
  readonly registry: string;
  readonly repositories: readonly string[];
  readonly unlisted: readonly UnlistedPart[];
}

/** Lists every source once, as narrowly as its routes allow: a whole instance may have far more. */
async function listSources(
  {file, routes}: CopyMigration,
  options: MigrationOptions,
  session: Session,
): Promise<readonly ListedSource[]> {
  const wanted = routes
    .filter((route) => needsRepositories(route) && route.repositoriesFile === undefined)
    .map((route) => ({
      route,
      registry: route.source.registry,
      prefix: joinPath(route.source.prefix, literalParent(route.from.text)),
    }));
  const sources: (ListedSource & {readonly prefix: string})[] = [];
  for (const {route, registry, prefix} of wanted.toSorted(
    (a, b) => a.prefix.length - b.prefix.length,
  )) {
    const isKnown = sources.some(
      (source) => source.registry === registry && isWithin(prefix, source.prefix),
    );
    if (isKnown) continue;
    const problem = (message: string) => formatProblem({file, ...route.from.at, message});
    const listed = await listSource(registry, prefix, options, session, problem);
    const [usable, unusable] = partition(listed.repositories.map(({repository}) => repository));
    const unlisted = unusable.map((part) => ({part, error: notARepository(part)}));
    sources.push({
      registry,
      prefix,
      repositories: usable,
      unlisted: [...listed.unlisted, ...unlisted],
    });
  }
  return sources;
}

function partition(
  paths: readonly string[],
): readonly [usable: readonly string[], unusable: readonly string[]] {
  return [paths.filter(isRepositoryPath), paths.filter((path) => !isRepositoryPath(path))];
}

/** @param problem puts the place of the route before a message */
async function listSource(
  registry: string,
  prefix: string,
  options: MigrationOptions,
  session: Session,
  problem: (message: string) => string,
): Promise<ListedRepositories> {
  const {report, reading} = session;
  const progress = (found: number) =>
    report({
      type: 'observing',
      what: joinPath(registry, prefix),
      done: 0,
      total: found,
      unit: 'repositories',
    });
  try {
    const sourceKind = options.sourceKind?.get(registry) ?? 'auto';
    const lister = await openSourceLister(registry, sourceKind, session);
    return await listAll(lister, prefix, progress, reading);
  } catch (error) {
    if (!(error instanceof TransshipError)) throw error;
    const {code, message, side, hint, status, cause} = error;
    // The route that matches nothing says so itself.
    if (code === 'REPOSITORY_NOT_FOUND') return {repositories: [], unlisted: []};
    if (code !== 'REPOSITORIES_NOT_LISTED') throw error;
    throw new TransshipError(code, problem(message), {side, hint, status, cause});
  }
}

/**
 * Looks up the projects of the destinations that are in a GitLab: where the user names that GitLab, or asks for its
 * projects to be checked or created (`gitlab` in the file).
 * @throws TransshipError USAGE where there is no token for a GitLab that has to be asked
 */
async function findGitLabs(
  {file, gitlab: policy}: CopyMigration,
  mappings: readonly RepositoryMapping[],
  session: Session,
): Promise<{
  readonly gitlabs: ReadonlyMap<string, DestinationGitLab>;
  readonly checks: readonly Check[];
}> {
  const {places, reading, gitlabs: accounts} = session;
  const gitlabs = new Map<string, DestinationGitLab>();
  let isAnyGitLab = false;
  const byRegistry = Map.groupBy(mappings, ({destination}) =>
    destination.slice(0, destination.indexOf('/')),
  );
  for (const [host, own] of byRegistry) {
    const kind = await findSourceKind(places.registry(host, 'destination'), reading);
    if (kind.kind !== 'gitlab') continue;
    isAnyGitLab = true;
    const address = accounts.addressOf(host, kind);
    if (address === undefined) {
      if (policy === undefined) continue;
      throw new TransshipError(
        'USAGE',
        `${file} has "gitlab", and no token for the GitLab of ${host} was named`,
        {
          side: 'local',
          hint: tokenHint(kind.gitlab),
        },
      );
    }
    const {gitlab, tokenKind} = await accounts.open(parseGitLabUrl(address), session);
    const wanted = own.map(({destination, project}) => ({
      path: destination.slice(host.length + 1),
      ...(project === undefined ? {} : {project}),
    }));
    gitlabs.set(host, await findDestinationProjects(gitlab, host, wanted, tokenKind, reading));
  }
  const isInVain = policy !== undefined && !isAnyGitLab && byRegistry.size > 0;
  return {gitlabs, checks: isInVain ? [noGitLab(file, [...byRegistry.keys()])] : []};
}

function tokenHint(gitlab = 'https://gitlab.example.com'): string {
  const variable = hostTokenVariable(parseGitLabUrl(gitlab));
  return `set ${variable} to an access token with the scope api, or GITLAB_TOKEN and add --gitlab ${gitlab}`;
}

/** What the file says about GitLab would be lost without a word. */
function noGitLab(file: string, hosts: readonly string[]): Check {
  const subject = hosts.join(', ');
  return {
    code: 'NOT_GITLAB',
    result: 'warn',
    subject,
    message: `${file} has "gitlab", but no destination is a registry of GitLab: no projects are looked up or created at ${subject}`,
    hint: 'check "to"; if a proxy hides GitLab\'s token service, create the projects yourself; otherwise remove "gitlab"',
  };
}
