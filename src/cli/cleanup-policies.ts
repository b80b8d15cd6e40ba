import {ACCESS_LEVEL, type CleanupPolicy, type Project} from '../gitlab/entities.ts';
import {TransshipError} from '../model/error.ts';
import type {CleanupRules, DeleteWish} from '../model/delete-wish.ts';
import type {Check} from '../model/plan.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import type {GitLabAccess} from '../library/gitlab-access.ts';
import type {Session} from '../library/session.ts';

/** The number of projects whose policies are read concurrently. */
const PROJECTS_AT_ONCE = 8;
const DAY_MS = 86_400_000;

/** The repositories to which cleanup policies apply, and checks about them. */
export interface PolicyWishes {
  readonly wishes: readonly DeleteWish[];
  readonly checks: readonly Check[];
}

/**
 * Reads the cleanup policy of a project, or of every project of a group, and finds the repositories to which it
 * applies.
 * @param path full path or ID
 * @throws TransshipError PROJECT_NOT_FOUND, FORBIDDEN if GitLab does not show the policy to this token
 */
export async function policyWishes(
  path: string,
  access: GitLabAccess,
  now: Date,
  {reading: call}: Session,
): Promise<PolicyWishes> {
  const {gitlab} = access;
  const group = await gitlab.groups.find(path, call);
  const projects = group
    ? (await gitlab.groups.projects(group.id, call)).filter(hasRegistry)
    : [await gitlab.projects.get(path, call)];
  const found = await mapAtOnce(projects, PROJECTS_AT_ONCE, async (listed) => {
    const records = await gitlab.repositories.ofProject(listed.id, call, false);
    if (records.length === 0) return {wishes: [], checks: []};
    // Lists of projects may omit the policy.
    const project = listed.cleanupPolicy ? listed : await gitlab.projects.get(listed.id, call);
    const rules = await gitlab.protection.ofTags(project.id, call).catch(refused);
    const policy = rulesOf(project, rules?.map(({pattern}) => pattern) ?? [], now);
    for (const {registryHost} of records) access.openRegistry(registryHost, 'destination');
    return {
      wishes: records
        .filter(({status}) => status !== 'delete_scheduled' && status !== 'delete_ongoing')
        .map((record) => ({repository: `${record.registryHost}/${record.path}`, policy})),
      checks: [
        ...(policy.enabled ? [] : [disabledCheck(project)]),
        ...(rules === undefined ? [unseenCheck(project)] : []),
      ],
    };
  });
  return {
    wishes: found.flatMap(({wishes}) => wishes),
    checks: found.flatMap(({checks}) => checks),
  };
}

function hasRegistry({registryAccess}: Project): boolean {
  return registryAccess !== 'disabled';
}

/** @throws the error, unless it is a refusal */
function refused(error: unknown): undefined {
  if (error instanceof TransshipError && error.status === 403) return undefined;
  throw error;
}

function rulesOf(
  {fullPath, cleanupPolicy, accessLevel}: Project,
  protects: readonly string[],
  now: Date,
): CleanupRules {
  if (cleanupPolicy === undefined) {
    throw new TransshipError(
      'FORBIDDEN',
      `GitLab does not show the cleanup policy of ${fullPath} to this token`,
      {
        side: 'gitlab',
        hint:
          accessLevel < ACCESS_LEVEL.maintainer
            ? 'use the token of a member with the Maintainer role, with the scope read_api'
            : 'check that the container registry of the project is enabled',
      },
    );
  }
  const {enabled, name_regex, name_regex_keep, keep_n, older_than} = cleanupPolicy;
  return {
    project: fullPath,
    enabled,
    nameRegex: name_regex ?? '',
    ...(name_regex_keep ? {nameRegexKeep: name_regex_keep} : {}),
    ...(keep_n === undefined ? {} : {keepN: keep_n}),
    ...(older_than === undefined ? {} : {olderThan: limitOf(older_than, now, fullPath)}),
    ...(protects.length === 0 ? {} : {protects}),
  };
}

/** GitLab: app/models/container_expiration_policy.rb, `older_than_options`. @throws TransshipError RESPONSE_INVALID */
function limitOf(age: NonNullable<CleanupPolicy['older_than']>, now: Date, path: string): string {
  const days = /^(\d{1,4})d$/.exec(age)?.[1];
  if (days !== undefined) return new Date(now.getTime() - Number(days) * DAY_MS).toISOString();
  throw new TransshipError(
    'RESPONSE_INVALID',
    `the cleanup policy of ${path} has older_than "${age}"`,
    {side: 'gitlab', hint: 'write the rules with --older-than and the other flags instead'},
  );
}

function disabledCheck({fullPath}: Project): Check {
  return {
    code: 'CLEANUP_DISABLED',
    result: 'warn',
    subject: fullPath,
    message: `the cleanup policy of ${fullPath} is disabled: GitLab deletes nothing by itself`,
    hint: 'this plan shows what the policy would do; enable it in the settings of the project, or apply the plan',
  };
}

function unseenCheck({fullPath}: Project): Check {
  return {
    code: 'RULES_NOT_SEEN',
    result: 'warn',
    subject: fullPath,
    message: `GitLab does not show the protection rules for tags of ${fullPath}: protected tags are listed as deleted`,
    hint: 'use a token of a Maintainer, and GitLab 18.7 or later; protected tags stay in any case',
  };
}
