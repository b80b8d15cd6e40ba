import type {WishFilters} from './plan.ts';

/** A repository, `host/path`, and what chooses among its tags: rules that were given, or the cleanup policy of its project. */
export type DeleteWish =
  | {readonly repository: string; readonly rules: DeleteRules}
  | {readonly repository: string; readonly policy: CleanupRules};

/** Which tags are deleted: those that every rule among them selects. */
export interface DeleteRules extends Pick<WishFilters, 'tags' | 'excludeTags' | 'semver'> {
  /** Globs of tags that stay. */
  readonly keep?: readonly string[];
  /** So many of the newest stay, not counting those of `keep`. */
  readonly keepNewest?: number;
  /** Only what is older than this time (ISO 8601). */
  readonly olderThan?: string;
}

/**
 * The cleanup policy of a GitLab project when the plan was made (GitLab:
 * doc/user/packages/container_registry/reduce_container_registry_storage.md). Expressions are RE2.
 */
export interface CleanupRules {
  /** The full path of the project. */
  readonly project: string;
  /** Whether GitLab runs it by itself. */
  readonly enabled: boolean;
  /** The whole name of a tag that may go; empty: none may. */
  readonly nameRegex: string;
  /** The whole name of a tag that stays. */
  readonly nameRegexKeep?: string;
  /** So many of the newest stay. */
  readonly keepN?: number;
  /** Only what is older than this time (ISO 8601). */
  readonly olderThan?: string;
  /** Expressions that match anywhere in the names of protected and immutable tags. */
  readonly protects?: readonly string[];
}
