import type {Command} from 'commander';
import {TransshipError} from '../../model/error.ts';
import {parsePlace} from '../../model/place.ts';
import type {DeleteRules, DeleteWish} from '../../model/delete-wish.ts';
import {formatRepository} from '../../model/reference.ts';
import type {Tag} from '../../model/reference.ts';
import type {Digest} from '../../model/digest.ts';
import {parseAge} from '../../plan/age.ts';
import {policyWishes, type PolicyWishes} from '../cleanup-policies.ts';
import {throwIfBegun} from '../earlier-transfers.ts';
import {addGitLabFlags, type GitLabFlags, openGitLab} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {addHostFlags, addProgressFlag, collect, type HostFlags, wholeNumber} from '../options.ts';
import {addMakeFlags, givePlan, type MakeFlags} from '../plan-file.ts';
import type {ProgressFlags} from '../reporters/choose.ts';
import {planDeletions} from '../rule-deletions.ts';
import {type Session, withSession} from '../session.ts';

interface RuleFlags {
  readonly tag?: readonly string[];
  readonly excludeTag?: readonly string[];
  readonly semver?: string;
  readonly keep?: readonly string[];
  readonly keepNewest?: number;
  readonly olderThan?: string;
}

interface Flags extends ProgressFlags, HostFlags, MakeFlags, GitLabFlags, RuleFlags {
  readonly gitlabPolicy?: string;
}

/** `transship plan delete`: decides which tags of repositories go, and deletes nothing. */
export function addPlanDelete(plan: Command, io: Io, done: (exitCode: number) => void): void {
  const command = plan
    .command('delete')
    .summary('plan the deletion of tags by rules')
    .description(
      'Lists the tags that the rules select with their age, size and digest, and what stays and why. Deletes nothing.',
    )
    .argument('[repository...]', 'host/repository')
    .option('--tag <glob>', 'only tags that match (repeatable)', collect)
    .option('--exclude-tag <glob>', 'no tags that match (repeatable)', collect)
    .option('--semver <range>', 'only tags that are versions in this range')
    .option('--older-than <age>', 'only tags older than 12h, 30d, 2w or a date')
    .option('--keep-newest <n>', 'keep the n newest of the selected tags', wholeNumber)
    .option(
      '--keep <glob>',
      'keep tags that match, whatever else selects them (repeatable)',
      collect,
    )
    .option(
      '--gitlab-policy <project>',
      'what the cleanup policy of this GitLab project, or of each project of this group, deletes',
    )
    .addHelpText(
      'after',
      `
Ages are those of the push where the registry knows them (GitLab with metadata database), else those of the image.

Examples:
  transship plan delete gitlab.example.com:5050/group/app --tag 'dev-*' --older-than 30d --keep-newest 10 --keep 'v*' --out clean.plan.json
  transship plan delete --gitlab-policy group/project --gitlab https://gitlab.example.com
  transship apply clean.plan.json --max-deletes 100`,
    );
  addMakeFlags(addProgressFlag(addHostFlags(addGitLabFlags(command))));
  command.action(async (repositories: readonly string[], flags: Flags) => {
    const read = wishReader(repositories.map(repositoryName), flags, io);
    if (flags.out !== undefined) await throwIfBegun(flags.out, io);
    const made = await withSession(io, flags, async (session) => {
      const {wishes, checks} = await read(session);
      return await planDeletions(wishes, checks, session);
    });
    done(await givePlan(made, flags, io));
  });
}

/** How the wishes are found, once the flags are known to be right. @throws TransshipError USAGE, FILTER_INVALID */
function wishReader(
  repositories: readonly string[],
  flags: Flags,
  io: Io,
): (session: Session) => Promise<PolicyWishes> {
  const {gitlabPolicy} = flags;
  const rules = readRules(flags, io.now());
  if (gitlabPolicy === undefined) {
    const wishes = repositories.map((repository) => ({repository, rules: chosen(rules)}));
    if (wishes.length > 0) return () => Promise.resolve({wishes, checks: []});
    throw usage('no repository was given', 'write host/repository');
  }
  if (rules !== undefined) {
    throw usage(
      '--gitlab-policy has rules of its own',
      'leave --tag, --keep and the other rules out, or --gitlab-policy',
    );
  }
  return async (session) => {
    const access = await openGitLab(flags, io, session);
    const {wishes, checks} = await policyWishes(gitlabPolicy, access, io.now(), session);
    return {wishes: onlyNamed(wishes, repositories, gitlabPolicy), checks};
  };
}

/** @throws TransshipError USAGE for a repository that the policy does not apply to, or where there is none */
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
      `${other} is no repository of ${project}`,
      `it has ${[...known].slice(0, 5).join(', ')}${known.size > 5 ? ' and others' : ''}`,
    );
  }
  const named = new Set(repositories);
  return named.size === 0 ? wishes : wishes.filter(({repository}) => named.has(repository));
}

/** Undefined: none was given. @throws TransshipError FILTER_INVALID */
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

/** @throws TransshipError USAGE where nothing chooses */
function chosen(rules: DeleteRules | undefined): DeleteRules {
  const {keep: _, ...choosing} = rules ?? {};
  if (rules !== undefined && Object.keys(choosing).length > 0) return rules;
  throw usage(
    'no rule selects the tags that are to be deleted',
    "add --tag, --semver, --older-than or --keep-newest; for all tags, --tag '*'",
  );
}

/** `host/path`. @throws TransshipError USAGE where it is no repository of a registry */
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
