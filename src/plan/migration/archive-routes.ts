import {formatProblem} from '../../model/file-problem.ts';
import {formatPlace, type FilePlace, repositoryInside} from '../../model/place.ts';
import type {Check, Skip} from '../../model/plan.ts';
import {mapRoutes, type MappedMigration} from './map-routes.ts';
import type {CopyMigration} from './migration.ts';

/** A layout, or an archive of one, that contains repositories under their full names. */
export type ArchivePlace = Pick<FilePlace, 'transport' | 'file'>;

/**
 * The routes of a migration, all with one archive as destination: each image keeps its name at the source. Nothing is
 * renamed or deleted, because that happens when the archive is copied to the destinations.
 * @param repositoriesOf,now as for `mapRoutes`
 */
export function mapIntoArchive(
  migration: CopyMigration,
  archive: ArchivePlace,
  repositoriesOf: Parameters<typeof mapRoutes>[1],
  now: Date,
): MappedMigration {
  const routes = migration.routes.map(({project: _project, ...route}) => ({
    ...route,
    to: [{text: '{path}', root: route.source, at: route.from.at}],
    rename: [],
  }));
  const only = {...migration, routes, deleteSource: 'never' as const};
  const {wish, mappings, checks} = mapRoutes(only, repositoriesOf, now);
  return {
    wish: {routes: wish.routes.map((route) => ({...route, destination: formatPlace(archive)}))},
    mappings: mappings.map((mapping) => ({
      ...mapping,
      destination: repositoryInside(archive, mapping.source),
    })),
    checks: checks.filter(({code}) => code === 'NOTHING_SELECTED'),
  };
}

/**
 * The routes of a migration with such an archive as source. The archive need not contain everything that the routes
 * name: an archive of changes does not.
 * @param repositories the repositories in the archive, as `host/path`, in the order of `compareText`
 */
export function mapFromArchive(
  migration: CopyMigration,
  archive: ArchivePlace,
  repositories: readonly string[],
  now: Date,
): MappedMigration & {readonly skipped: readonly Skip[]} {
  const there = new Set(repositories);
  const only = {...migration, deleteSource: 'never' as const};
  const pathsOf = (registry: string): readonly string[] =>
    repositories.flatMap((name) =>
      name.startsWith(`${registry}/`) ? [name.slice(registry.length + 1)] : [],
    );
  const {wish, mappings, checks} = mapRoutes(only, ({source}) => pathsOf(source.registry), now);
  const absent = mappings.filter(({source}) => !there.has(source));
  const file = migration.file;
  return {
    wish: {routes: wish.routes.map((route) => ({...route, source: formatPlace(archive)}))},
    mappings: mappings
      .filter(({source}) => there.has(source))
      .map((mapping) => ({...mapping, source: repositoryInside(archive, mapping.source)})),
    checks: [
      ...checks.map((check) =>
        check.code === 'NOTHING_SELECTED' ? {...check, result: 'warn' as const} : check,
      ),
      ...absent.map(({source, at}) =>
        notInside(
          source,
          formatProblem({file, ...at, message: `${source} is not in ${formatPlace(archive)}`}),
        ),
      ),
    ],
    skipped: absent.map(({source}) => ({
      reason: 'filtered',
      from: repositoryInside(archive, source),
      detail: 'the archive does not have it',
    })),
  };
}

function notInside(subject: string, message: string): Check {
  return {
    code: 'SKIPPED',
    result: 'warn',
    subject,
    message,
    hint: 'an archive of what changed has only that; otherwise export the repository, or remove its route',
  };
}
