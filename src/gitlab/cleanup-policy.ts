import {z} from '../model/schema.ts';
import {given} from './given.ts';

/**
 * What deletes old tags by itself (GitLab: doc/user/packages/container_registry/reduce_container_registry_storage.md).
 * The names are those of the API's, so that a policy can be put back as it was.
 */
export interface CleanupPolicy {
  readonly enabled: boolean;
  /** `1d`, `7d`, `14d`, `1month` or `3month`. */
  readonly cadence?: string;
  /** Tags that are kept of each image. */
  readonly keep_n?: number;
  /** `7d`, `14d`, `30d` or `90d`. */
  readonly older_than?: string;
  /** RE2: the tags that may go. */
  readonly name_regex?: string;
  /** RE2: the tags that stay. */
  readonly name_regex_keep?: string;
}

const text = z.string().nullish();

/** `container_expiration_policy` of a project. */
export const cleanupPolicySchema = z
  .object({
    enabled: z.boolean(),
    cadence: text,
    keep_n: z.int().nullish(),
    older_than: text,
    name_regex: text,
    name_regex_keep: text,
  })
  .transform(({enabled, ...rest}): CleanupPolicy => ({enabled, ...given(rest)}));
