import {dirname, isAbsolute, join} from 'node:path';
import {listAll, type ListedRepositories} from '../discovery/list-all.ts';
import {parseNameList} from '../discovery/name-list.ts';
import {TransshipError} from '../model/error.ts';
import {formatProblem} from '../model/file-problem.ts';
import type {Check, Skip} from '../model/plan.ts';
import {isWithin} from '../model/reference.ts';
import {mapRoutes, needsRepositories} from '../plan/migration/map-routes.ts';
import type {CopyMigration, Route} from '../plan/migration/migration.ts';
import {joinPath} from '../plan/migration/registry-path.ts';
import {literalParent} from '../plan/migration/repository-glob.ts';
import type {GitLabFlags} from './gitlab-access.ts';
import type {Io} from './io.ts';
import type {CopyEnd, CopyWish} from './make-plan.ts';
import type {Session} from './session.ts';
import {type NameListText, openSourceLister, readNameList} from './source-lister.ts';

/**
 * Finds the repositories that a migration file means, and where they go.
 * @throws TransshipError REPOSITORIES_NOT_LISTED, FILE_UNREADABLE, FILE_INVALID, and what a source answers
 */
export async function readMigrationWish(
  migration: CopyMigration,
  flags: GitLabFlags,
  io: Io,
  session: Session,
): Promise<CopyWish> {
  const names = await readNames(migration, io);
  const sources = await listSources(migration, flags, io, session);
  const {wish, mappings, checks} = mapRoutes(
    migration,
    (route) =>
      names.get(route)?.map(({repository}) => repository) ??
      sources
        .filter(({registry}) => registry === route.source.registry)
        .flatMap(({listed}) => listed.repositories.map(({repository}) => repository)),
    {now: io.now()},
  );
  const unlisted = sources.flatMap(({registry, listed}) =>
    listed.unlisted.map(({part, error}) => unlistedPart(`${registry}/${part}`, error)),
  );
  return {
    wish,
    routes: mappings.map(({source, destination, wish: index, isListed}) => ({
      wish: index,
      source: inRegistry(source),
      destination: inRegistry(destination),
      isListed,
    })),
    findings: {
      checks: [...checks, ...unlisted.map(({check}) => check)],
      skipped: unlisted.map(({skip}) => skip),
    },
  };
}

function inRegistry(repository: string): CopyEnd {
  return {repository, isLayout: false};
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

/** The repositories of the routes that have a file of them. A file is read once, whichever routes name it. */
async function readNames(
  {file: migration, routes}: CopyMigration,
  io: Io,
): Promise<ReadonlyMap<Route, ReturnType<typeof parseNameList>>> {
  const texts = new Map<string, NameListText>();
  const names = new Map<Route, ReturnType<typeof parseNameList>>();
  for (const route of routes) {
    const {repositoriesFile: named, source} = route;
    if (named === undefined || !needsRepositories(route)) continue;
    const file = named === '-' || isAbsolute(named) ? named : join(dirname(migration), named);
    const {name, text} = texts.get(file) ?? (await readNameList(file, io));
    texts.set(file, {name, text});
    names.set(route, parseNameList(text, name, source.registry, ''));
  }
  return names;
}

/** What one request for a list gave. */
interface ListedSource {
  readonly registry: string;
  readonly listed: ListedRepositories;
}

/** Lists every source once, as narrowly as its routes allow: a whole instance may have far more. */
async function listSources(
  {file, routes}: CopyMigration,
  flags: GitLabFlags,
  io: Io,
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
    const listed = await listSource(registry, prefix, flags, io, session, problem);
    sources.push({registry, prefix, listed});
  }
  return sources;
}

/** @param problem puts the place of the route before a message */
async function listSource(
  registry: string,
  prefix: string,
  flags: GitLabFlags,
  io: Io,
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
    const lister = await openSourceLister(registry, {...flags, sourceKind: 'auto'}, io, session);
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
