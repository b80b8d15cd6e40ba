import {listAll} from '../discovery/list-all.ts';
import type {DeleteRules, DeleteWish} from '../model/delete-wish.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {parsePlace} from '../model/place.ts';
import type {Check} from '../model/plan.ts';
import {formatRepository, type Tag} from '../model/reference.ts';
import {parseAge} from '../plan/age.ts';
import {readMigration} from '../plan/migration/read-migration.ts';
import {parseHostAndPath} from '../plan/migration/registry-path.ts';
import {policyWishes, type PolicyWishes} from './cleanup-policies.ts';
import {readMigrationText} from './commands/plan-migration.ts';
import {type GitLabFlags, openGitLab} from './gitlab-access.ts';
import type {Io} from './io.ts';
import {readMigrationWish} from '../library/migration-wish.ts';
import type {Session} from '../library/session.ts';
import {openSourceLister} from '../library/source-lister.ts';
import {instanceOf, pathOf} from './transfer-wish.ts';

/** The rules that select tags. */
interface RuleFlags {
  readonly tag?: readonly string[];
  readonly excludeTag?: readonly string[];
  readonly semver?: string;
  readonly keep?: readonly string[];
  readonly keepNewest?: number;
  readonly olderThan?: string;
}

/** The tags to delete, and their repositories. */
export interface DeletionFlags extends RuleFlags, GitLabFlags {
  readonly recursive?: boolean;
  /** A migration file. */
  readonly routes?: string;
  readonly side?: 'source' | 'destination';
  readonly gitlabPolicy?: string;
}

/** Finds the repositories and rules of a deletion plan, with checks about them. */
export type DeletionReader = (session: Session) => Promise<PolicyWishes>;

/**
 * Returns the function that finds the wishes, after checking the flags.
 * @throws TransshipError USAGE, FILTER_INVALID
 */
export function deletionReader(
  repositories: readonly string[],
  flags: DeletionFlags,
  io: Io,
): DeletionReader {
  const {gitlabPolicy, routes, recursive, side} = flags;
  const rules = readRules(flags, io.now());
  if (gitlabPolicy !== undefined) return policyReader(gitlabPolicy, repositories, rules, flags, io);
  const tagged =
    routes === undefined && recursive !== true ? taggedWishes(repositories, rules) : [];
  if (tagged.length > 0) return () => Promise.resolve({wishes: tagged, checks: []});
  const wanted = chosen(rules);
  if (routes !== undefined) {
    if (side === undefined)
      throw usage(
        '--routes names sources and destinations',
        'add --side source or --side destination',
      );
    if (repositories.length > 0)
      throw usage('--routes names the repositories', 'leave the other repositories out');
    return async (session) => withRules(await inRoutes(routes, side, session), wanted);
  }
  if (repositories.length === 0)
    throw usage('no repository was given', 'write host/repository, or --routes FILE.yaml');
  if (recursive === true) {
    const roots = repositories.map(parseHostAndPath);
    return async (session) => withRules(await below(roots, session), wanted);
  }
  const names = repositories.map(repositoryName);
  return () => Promise.resolve(withRules({names, checks: []}, wanted));
}

/**
 * Single tags, `host/repository:tag`, as in other tools; empty: no tag is named.
 * @throws TransshipError USAGE if there are also rules, or not all arguments name a tag
 */
function taggedWishes(
  names: readonly string[],
  rules: DeleteRules | undefined,
): readonly DeleteWish[] {
  const found = names.flatMap((name) => {
    const place = parsePlace(name);
    const reference = place.transport === 'docker' ? place.reference : undefined;
    const tag: Tag | undefined = reference?.digest === undefined ? reference?.tag : undefined;
    return reference === undefined || tag === undefined ? [] : [{reference, tag}];
  });
  if (found.length === 0) return [];
  if (rules !== undefined || found.length < names.length) {
    throw usage(
      'a tag is named, and rules or whole repositories as well',
      'name tags alone (host/repository:tag), or repositories with rules such as --tag',
    );
  }
  const byRepository = Map.groupBy(found, ({reference}) => formatRepository(reference));
  return [...byRepository].map(([repository, own]) => ({
    repository,
    rules: {tags: own.map(({tag}) => tag)},
  }));
}

/** Repositories, `host/path`, and checks about those that could not be found. */
interface MatchedRepositories {
  readonly names: readonly string[];
  readonly checks: readonly Check[];
}

function withRules({names, checks}: MatchedRepositories, rules: DeleteRules): PolicyWishes {
  return {wishes: [...new Set(names)].map((repository) => ({repository, rules})), checks};
}

/** The repositories that hosts list at or below some paths. */
async function below(
  roots: readonly {readonly host: string; readonly path: string}[],
  session: Session,
): Promise<MatchedRepositories> {
  const names: string[] = [];
  const checks: Check[] = [];
  for (const {host, path} of roots) {
    const what = path === '' ? host : `${host}/${path}`;
    const progress = (total: number) =>
      session.report({type: 'observing', what, done: 0, total, unit: 'repositories'});
    const lister = await openSourceLister(host, 'auto', session, 'destination');
    const {repositories, unlisted} = await listAll(lister, path, progress, session.reading);
    for (const {repository} of repositories) names.push(`${host}/${repository}`);
    for (const {part, error} of unlisted) checks.push(unlistedCheck(`${host}/${part}`, error));
  }
  return {names, checks};
}

function unlistedCheck(part: string, {code, message, hint}: TransshipError): Check {
  return {code, result: 'warn', subject: part, message: `${part} is left out: ${message}`, hint};
}

/** The repositories that one side of a migration file names. */
async function inRoutes(
  file: string,
  side: 'source' | 'destination',
  session: Session,
): Promise<MatchedRepositories> {
  const migration = readMigration(await readMigrationText(file), file, session.environment);
  if (migration.kind !== 'copy')
    throw usage(`${file} moves projects and names no repositories`, 'name a file with routes');
  const {routes, findings} = await readMigrationWish(migration, {}, session);
  return {
    names: routes.map((route) => route[side].repository),
    checks: (findings?.checks ?? []).filter(({code}) => code === 'REPOSITORIES_NOT_LISTED'),
  };
}

/** @throws TransshipError USAGE */
function policyReader(
  project: string,
  repositories: readonly string[],
  rules: DeleteRules | undefined,
  flags: DeletionFlags,
  io: Io,
): DeletionReader {
  if (rules !== undefined) {
    throw usage(
      '--gitlab-policy has rules of its own',
      'leave --tag, --keep and the other rules out, or --gitlab-policy',
    );
  }
  if (flags.recursive === true || flags.routes !== undefined)
    throw usage('--gitlab-policy finds the repositories', 'leave --recursive and --routes out');
  const names = repositories.map(repositoryName);
  return async (session) => {
    const access = await openGitLab(flags, io, session, instanceOf(project));
    const path = pathOf(project, access.gitlab.url.href, '--gitlab-policy');
    const {wishes, checks} = await policyWishes(path, access, io.now(), session);
    return {wishes: onlyNamed(wishes, names, project), checks};
  };
}

/** @throws TransshipError USAGE for a repository to which the policy does not apply, or if there is none */
function onlyNamed(
  wishes: readonly DeleteWish[],
  repositories: readonly string[],
  project: string,
): readonly DeleteWish[] {
  const known = new Set(wishes.map(({repository}) => repository));
  if (known.size === 0)
    throw usage(`${project} has no container repositories`, 'name another project or group');
  const other = repositories.find((repository) => !known.has(repository));
  if (other !== undefined) {
    throw usage(
      `${other} is not a repository of ${project}`,
      `it has ${[...known].slice(0, 5).join(', ')}${known.size > 5 ? ' and others' : ''}`,
    );
  }
  const named = new Set(repositories);
  return named.size === 0 ? wishes : wishes.filter(({repository}) => named.has(repository));
}

/** Undefined: there are no rules. @throws TransshipError FILTER_INVALID */
function readRules(flags: RuleFlags, now: Date): DeleteRules | undefined {
  const {tag, excludeTag, semver, keep, keepNewest, olderThan} = flags;
  const rules: DeleteRules = {
    ...(tag === undefined ? {} : {tags: tag}),
    ...(excludeTag === undefined ? {} : {excludeTags: excludeTag}),
    ...(semver === undefined ? {} : {semver}),
    ...(keep === undefined ? {} : {keep}),
    ...(keepNewest === undefined ? {} : {keepNewest}),
    ...(olderThan === undefined ? {} : {olderThan: parseAge(olderThan, now, '--older-than')}),
  };
  return Object.keys(rules).length === 0 ? undefined : rules;
}

/** @throws TransshipError USAGE if no rule selects anything */
function chosen(rules: DeleteRules | undefined): DeleteRules {
  const {keep: _, ...choosing} = rules ?? {};
  if (rules !== undefined && Object.keys(choosing).length > 0) return rules;
  throw usage(
    'no rule selects the tags that are to be deleted',
    "add --tag, --semver, --older-than or --keep-newest; for all tags, --tag '*'",
  );
}

/** `host/path`. @throws TransshipError USAGE if it is not a repository of a registry */
function repositoryName(text: string): string {
  const place = parsePlace(text);
  const reference = place.transport === 'docker' ? place.reference : undefined;
  const {tag, digest}: {readonly tag?: Tag | undefined; readonly digest?: Digest | undefined} =
    reference ?? {};
  if (reference !== undefined && tag === undefined && digest === undefined)
    return formatRepository(reference);
  throw usage(
    `${text} is not a repository of a registry`,
    'write host/repository, and select tags with --tag',
  );
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
