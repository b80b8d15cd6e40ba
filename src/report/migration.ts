import type {Migration, Route} from '../plan/migration/migration.ts';
import {rootedPath} from '../plan/migration/registry-path.ts';
import {printable} from './words.ts';

/** A valid migration file for `--format json`: its routes with the defaults merged in, its moves. */
export function migrationDocument(migration: Migration): object {
  const {file, kind} = migration;
  if (migration.kind === 'transfer') {
    const {gitlab, moves} = migration;
    return {
      file,
      valid: true,
      kind,
      gitlab,
      moves: moves.map(({at, ...move}) => ({...at, ...move})),
    };
  }
  const {routes, gitlab, deleteSource, prune} = migration;
  return {
    file,
    valid: true,
    kind,
    routes: routes.map((route) => ({
      ...route.at,
      from: sourceOf(route),
      to: destinationsOf(route),
      exclude: route.exclude,
      tags: route.tags,
      rename: route.rename,
      platforms: route.platforms,
      ...(route.schema1 === 'refuse' ? {} : {schema1: route.schema1}),
      ...(route.foreignLayers === 'leave' ? {} : {foreignLayers: route.foreignLayers}),
      ...(route.project === undefined ? {} : {project: route.project}),
      ...(route.repositoriesFile === undefined
        ? {}
        : {repositories: {file: route.repositoriesFile}}),
    })),
    ...(gitlab === undefined ? {} : {gitlab}),
    deleteSource,
    prune,
  };
}

/** A valid migration file in a few lines: what goes where, and first what deletes something. */
export function renderMigration(migration: Migration): string {
  const lines = [`${migration.file} is valid.`];
  if (migration.kind === 'transfer') {
    lines.push('', `Moves (${migration.moves.length}) in ${migration.gitlab}:`);
    for (const {kind, from, to} of migration.moves) lines.push(`  ${kind} ${from} -> ${to}`);
  } else {
    const {routes, deleteSource, prune} = migration;
    if (deleteSource === 'afterVerify')
      lines.push('Tags are deleted at the source after their copies have been verified.');
    if (prune !== false)
      lines.push(`At most ${prune.maxDeletes} tags are removed at the destination.`);
    lines.push('', `Routes (${routes.length}):`);
    for (const route of routes) {
      for (const to of destinationsOf(route))
        lines.push(`  line ${route.at.line}: ${sourceOf(route)} -> ${to}`);
    }
  }
  return `${lines.map(printable).join('\n')}\n`;
}

function sourceOf({source, from}: Route): string {
  return rootedPath(source, from.text);
}

function destinationsOf({to}: Route): readonly string[] {
  return to.map(({root, text}) => rootedPath(root, text));
}
