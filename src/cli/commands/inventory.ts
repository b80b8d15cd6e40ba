import type {Command} from 'commander';
import {Option} from 'commander';
import type {InventoryDepth} from '../../discovery/inventory.ts';
import {listAll, type ListedRepositories} from '../../discovery/list-all.ts';
import {parseNameList} from '../../discovery/name-list.ts';
import {SOURCE_KINDS, type SourceKind} from '../../discovery/source-kind.ts';
import {takeInventory} from '../../discovery/take-inventory.ts';
import type {Session} from '../../library/session.ts';
import {openSourceLister, readNameList} from '../../library/source-lister.ts';
import {TransshipError} from '../../model/error.ts';
import type {Report} from '../../model/event.ts';
import type {WishFilters} from '../../model/plan.ts';
import {parsePlatform} from '../../model/platform.ts';
import {
  formatRepository,
  parseRepositoryPrefix,
  type RepositoryPrefix,
} from '../../model/reference.ts';
import {tagSelector} from '../../plan/filters.ts';
import {renderInventoryJson, renderInventoryTable} from '../../report/inventory.ts';
import {renderInventoryMigration} from '../../report/inventory-migration.ts';
import {addGitLabFlags, type GitLabFlags} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {
  addCacheFlag,
  addChoiceFlags,
  addFormatFlag,
  addHostFlags,
  addProgressFlag,
  type ChoiceFlags,
  type HostFlags,
  wishFilters,
} from '../options.ts';
import type {ProgressFlags} from '../reporters/choose.ts';
import {withSession} from '../session.ts';

interface Flags extends ProgressFlags, HostFlags, ChoiceFlags, GitLabFlags {
  readonly sourceKind: 'auto' | SourceKind;
  readonly repositories?: string;
  readonly depth: InventoryDepth;
  readonly format: 'table' | 'json' | 'yaml';
}

/** `transship inventory`: the content of a registry as a table, JSON, or a migration file to start from. */
export function addInventory(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('inventory')
    .summary('list the contents of a registry')
    .description(
      'Lists the repositories of a registry with their tags, platforms and sizes. Changes nothing. ' +
        'Finds repositories through the API of GitLab, Harbor, Docker Hub, Quay or GitHub, or through the catalog of the registry.',
    )
    .argument('<host[/prefix]>', 'a registry, or a part of it: registry.example.com/team')
    .option(
      '--repositories <file>',
      'read the names of the repositories from this file, one per line (-: stdin), instead of listing them',
    )
    .addOption(
      new Option('--source-kind <kind>', 'how the host lists its repositories')
        .choices(['auto', ...SOURCE_KINDS])
        .default('auto'),
    )
    .addOption(
      new Option('--depth <depth>', 'what to read: only lists of tags, or images as well')
        .choices(['images', 'tags'])
        .default('images'),
    )
    .addHelpText(
      'after',
      `
Exit 1: some repositories could not be read; the others are listed.

Examples:
  transship inventory harbor.example.com/team
  transship inventory harbor.example.com/team --format yaml > plans/team.yaml
  transship inventory registry.gitlab.example.com/group --gitlab https://gitlab.example.com --depth tags
  transship inventory docker.io/library --repositories names.txt --newest 5`,
    );
  addFormatFlag(
    addProgressFlag(addChoiceFlags(addCacheFlag(addHostFlags(addGitLabFlags(command))))),
    ['table', 'json', 'yaml'],
  ).action(async (source: string, flags: Flags) => {
    const where = parseRepositoryPrefix(source);
    const filters = wishFilters({...flags, clobber: true}, io.now());
    checkFilters(flags.depth, filters);
    const {repositories: file} = flags;
    const names = file === undefined ? undefined : await readNames(file, where, io);
    const inventory = await withSession(io, flags, async (session) => {
      const listed = names
        ? {repositories: names, unlisted: []}
        : await list(where, flags, session);
      const {places, report, reading} = session;
      const {registry: host, prefix} = where;
      return await takeInventory(
        {
          ...listed,
          host,
          prefix,
          depth: flags.depth,
          filters,
          open: (path) => places.source(formatRepository({registry: host, path})),
          progress: (read, total) => tell(report, where, read, total),
        },
        reading,
      );
    });
    const isListed = names === undefined;
    io.stdout.write(
      flags.format === 'table'
        ? renderInventoryTable(inventory)
        : flags.format === 'json'
          ? renderInventoryJson(inventory)
          : renderInventoryMigration(inventory, {filters, isListed}),
    );
    done(inventory.totals.failed > 0 ? 1 : 0);
  });
}

async function readNames(file: string, {registry, prefix}: RepositoryPrefix, io: Io) {
  const {name, text} = await readNameList(file, io);
  return parseNameList(text, name, registry, prefix);
}

async function list(
  where: RepositoryPrefix,
  flags: Flags,
  session: Session,
): Promise<ListedRepositories> {
  const {report, reading} = session;
  // If the user names a GitLab instance, it lists the repositories.
  const isGitLab = flags.gitlab !== undefined && flags.sourceKind === 'auto';
  const sourceKind = isGitLab ? 'gitlab' : flags.sourceKind;
  const lister = await openSourceLister(where.registry, sourceKind, session);
  return await listAll(lister, where.prefix, (found) => tell(report, where, 0, found), reading);
}

function tell(
  report: Report,
  {registry, prefix}: RepositoryPrefix,
  done: number,
  total: number,
): void {
  const what = [registry, prefix].filter(Boolean).join('/');
  report({type: 'observing', what, done, total, unit: 'repositories'});
}

/** @throws TransshipError USAGE, FILTER_INVALID, PLATFORM_INVALID */
function checkFilters(depth: InventoryDepth, filters: WishFilters): void {
  const {newest, newerThan, platforms} = filters;
  tagSelector(filters);
  platforms?.forEach(parsePlatform);
  const flag =
    newest !== undefined
      ? '--newest'
      : newerThan !== undefined
        ? '--newer-than'
        : platforms && '--platform';
  if (depth === 'images' || flag === undefined) return;
  throw new TransshipError('USAGE', `${flag} needs the images, which --depth tags does not read`, {
    side: 'local',
    hint: 'remove --depth tags',
  });
}
