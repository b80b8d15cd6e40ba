import type {WishFilters} from './plan.ts';

/** A repository, `host/path`, whose tags are selected by the user's rules, or by the cleanup policy of its project. */
export type DeleteWish =
  | {readonly repository: string; readonly rules: DeleteRules}
  | {readonly repository: string; readonly policy: CleanupRules};

/** Deletes the tags that all of these rules select. */
export interface DeleteRules extends Pick<WishFilters, 'tags' | 'excludeTags' | 'semver'> {
  /** Globs of tags that are kept. */
  readonly keep?: readonly string[];
  /** How many of the newest tags are kept, in addition to those of `keep`. */
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
  /** Whether GitLab runs the policy. */
  readonly enabled: boolean;
  /** Matches the whole names of tags that may be deleted; empty: none. */
  readonly nameRegex: string;
  /** Matches the whole names of tags that are kept. */
  readonly nameRegexKeep?: string;
  /** How many of the newest tags are kept. */
  readonly keepN?: number;
  /** Only what is older than this time (ISO 8601). */
  readonly olderThan?: string;
  /** Expressions that match anywhere in the names of protected and immutable tags. */
  readonly protects?: readonly string[];
}
