import {Document, type YAMLMap, type YAMLSeq} from 'yaml';
import type {Inventory, RepositoryInventory} from '../discovery/inventory.ts';
import type {WishFilters} from '../model/plan.ts';
import {splitHost} from '../plan/migration/registry-path.ts';
import {repositoryWords, totalsLine} from './inventory.ts';
import {printable} from './words.ts';

/** What stands for the destination until somebody writes one. */
const DESTINATION = 'registry.gitlab.example.com/group';

/** How the inventory came to its repositories. */
export interface MigrationSource {
  readonly filters: WishFilters;
  /** Whether the source lists its repositories itself, so that a glob finds those that are still to come. */
  readonly isListed: boolean;
}

/**
 * A migration file to start from. A source that lists its repositories gets one route with a glob, which finds later
 * ones too, and the repositories as a comment above it; otherwise each repository gets a route of its own.
 */
export function renderInventoryMigration(
  inventory: Inventory,
  {filters, isListed}: MigrationSource,
): string {
  const {host, prefix, repositories, unlisted, totals} = inventory;
  const choice = choiceOf(filters);
  const isHere = prefix !== '' && repositories.some(({repository}) => repository === prefix);
  const isBelow = repositories.some(({repository}) => repository !== prefix);
  const globs = [
    ...(isHere ? [{from: sourceName(host, prefix), to: '{path}', ...choice}] : []),
    ...(isBelow || !isHere
      ? [{from: prefix === '' ? '**' : sourceName(host, `${prefix}/**`), to: '{path}', ...choice}]
      : []),
  ];
  const named = repositories
    .filter(({error}) => error === undefined)
    .map(({repository}) => ({from: sourceName(host, repository), to: '{path}', ...choice}));
  const routes = isListed ? globs : named;
  const document = new Document({version: 1, from: host, to: DESTINATION, routes});
  document.commentBefore = ` What ${[host, prefix].filter(Boolean).join('/')} has: ${printable(totalsLine(totals))}.`;
  const map = document.contents as YAMLMap;
  const to = map.get('to', true);
  if (to) to.comment = ' replace this with your destination';
  const sequence = map.get('routes') as YAMLSeq<YAMLMap>;
  const comments = repositories.map(commentOf);
  const parts = unlisted.map(({part, error}) => ` ${printable(`${part}: ${error.message}`)}`);
  if (isListed) {
    sequence.commentBefore = [...comments, ...parts].join('\n');
  } else {
    const failed = repositories.filter(({error}) => error !== undefined);
    sequence.commentBefore = [...failed.map(commentOf), ...parts].join('\n');
    const read = repositories.filter(({error}) => error === undefined);
    for (const [at, route] of sequence.items.entries()) {
      const one = read[at];
      if (one) route.commentBefore = ` ${printable(repositoryWords(one))}`;
    }
  }
  return document.toString({lineWidth: 0, flowCollectionPadding: false});
}

/** A repository as a route names it: one whose first part would be read as a host gets the host before it. */
function sourceName(host: string, repository: string): string {
  return splitHost(repository).host === undefined ? repository : `${host}/${repository}`;
}

function commentOf(one: RepositoryInventory): string {
  return ` ${printable(`${one.repository}: ${repositoryWords(one)}`)}`;
}

/** The filters of the command line, in the words of migration files. */
function choiceOf(filters: WishFilters): Record<string, unknown> {
  const {tags: include, excludeTags: exclude, semver, newest, newerThan, platforms} = filters;
  const tags = Object.entries({include, exclude, semver, newest, newerThan}).filter(
    ([, value]) => value !== undefined,
  );
  return {
    ...(tags.length === 0 ? {} : {tags: Object.fromEntries(tags)}),
    ...(platforms === undefined ? {} : {platforms}),
  };
}
