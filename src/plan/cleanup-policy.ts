import {TransshipError} from '../model/error.ts';
import type {CleanupRules} from '../model/delete-wish.ts';
import {compareText} from './compare.ts';
import type {DatedTag} from './delete-rules.ts';
import {re2, type Search} from '../model/re2.ts';

/** The number of tags that GitLab reads from the registry's database at once (`TAGS_PAGE_SIZE`). */
const PAGE = 1000;

/**
 * The tags of a repository that a cleanup policy keeps, with the reason; it deletes all others. The order is GitLab's
 * (app/services/projects/container_repository/cleanup_tags_base_service.rb):
 *
 * - `latest` is kept.
 * - An expression becomes `\A…\z` without a group: with `a|b`, a name has to begin with `a` or end with `b`. An empty
 *   expression matches nothing.
 * - `keep_n` keeps the newest of the remaining tags. With a metadata database it applies to each page of 1000 tags, in
 *   the order of their names (gitlab/cleanup_tags_service.rb). A tag without a time counts as pushed just now.
 * - A tag without a time is never older than `older_than`.
 * - A policy runs without a user, so every protection rule applies (gitlab/delete_tags_service.rb).
 * @param hasDatabase whether the registry has a metadata database
 * @throws TransshipError FILTER_INVALID for an invalid expression, with which GitLab would disable the policy
 */
export function keptByPolicy(
  tags: readonly DatedTag[],
  policy: CleanupRules,
  hasDatabase: boolean,
): ReadonlyMap<string, string> {
  const {project, nameRegex, nameRegexKeep = '', keepN, olderThan, protects = []} = policy;
  const mayGo = wholeName(nameRegex, 'name_regex', project);
  const stays = wholeName(nameRegexKeep, 'name_regex_keep', project);
  const rules = protects.map((pattern) => ({
    pattern,
    search: re2(pattern) ?? throwInvalid(pattern, 'a protection rule', project),
  }));
  const kept = new Map<string, string>();
  const left = tags.filter(({tag}) => {
    const why =
      tag === 'latest'
        ? 'a cleanup policy never deletes latest'
        : !mayGo(tag)
          ? `name_regex ${shown(nameRegex)} does not match`
          : stays(tag)
            ? `name_regex_keep ${shown(nameRegexKeep)}`
            : undefined;
    if (why !== undefined) kept.set(tag, why);
    return why === undefined;
  });
  for (const page of hasDatabase ? pagesOf(tags, left) : [left]) {
    const newestFirst = page.toSorted(
      (a, b) => (b.time ?? Infinity) - (a.time ?? Infinity) || compareText(a.tag, b.tag),
    );
    for (const [at, {tag, time}] of newestFirst.entries()) {
      const rule = rules.find(({search}) => search(tag));
      if (keepN !== undefined && at < keepN) kept.set(tag, `keep_n ${keepN}`);
      else if (olderThan !== undefined && !isOlder(time, olderThan))
        kept.set(tag, time === undefined ? 'its age is not known' : `older_than: ${dayOf(time)}`);
      else if (rule !== undefined) kept.set(tag, `protected by the rule ${shown(rule.pattern)}`);
    }
  }
  return kept;
}

/** The remaining tags of each page that GitLab reads. */
function pagesOf(
  all: readonly DatedTag[],
  left: readonly DatedTag[],
): readonly (readonly DatedTag[])[] {
  const names = all.map(({tag}) => tag).toSorted(compareText);
  const pageOf = new Map(names.map((name, at) => [name, Math.floor(at / PAGE)]));
  return [...Map.groupBy(left, ({tag}) => pageOf.get(tag)).values()];
}

function isOlder(time: number | undefined, limit: string): boolean {
  return time !== undefined && time < Date.parse(limit);
}

/** @throws TransshipError FILTER_INVALID */
function wholeName(expression: string, what: string, project: string): Search {
  const search = re2(expression) && re2(`\\A${expression}\\z`);
  return search ?? throwInvalid(expression, what, project);
}

function throwInvalid(expression: string, what: string, project: string): never {
  throw new TransshipError(
    'FILTER_INVALID',
    `${what} ${shown(expression)} in the project ${project} is not an expression of RE2`,
    {
      side: 'gitlab',
      hint: 'correct it in the project: GitLab disables a cleanup policy that it cannot read. RE2 has no look-around and no backreferences',
    },
  );
}

function shown(expression: string): string {
  return JSON.stringify(expression);
}

function dayOf(time: number): string {
  return `of ${new Date(time).toISOString().slice(0, 10)}`;
}
