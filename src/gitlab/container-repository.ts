import {z} from '../model/schema.ts';
import {given} from './given.ts';

/** How far the deletion of a repository is; GitLab does it in the background. */
export type DeletionStatus = 'delete_scheduled' | 'delete_ongoing' | 'delete_failed';

/** GitLab's record of an image path. It may be there without tags, and even then a group cannot move. */
export interface ContainerRepository {
  readonly id: number;
  readonly projectId: number;
  /** Below the project's path; empty for the project's own. */
  readonly name: string;
  /** In the registry, in lower case. */
  readonly path: string;
  /** `host[:port]` of the registry. */
  readonly registryHost: string;
  /** Undefined: it is not being deleted. */
  readonly status?: DeletionStatus;
  /** Undefined: it was not asked for. */
  readonly tagsCount?: number;
}

/** GitLab: lib/api/entities/container_registry.rb, `Repository`. */
export const containerRepositorySchema = z
  .object({
    id: z.int(),
    project_id: z.int(),
    name: z.string().nullish(),
    path: z.string(),
    location: z.string(),
    // An unknown status is none of those that have to be waited for.
    status: z
      .enum(['delete_scheduled', 'delete_ongoing', 'delete_failed'])
      .nullish()
      .catch(undefined),
    tags_count: z.int().nullish(),
  })
  .transform((json): ContainerRepository => {
    const {id, project_id: projectId, name, path, location, status, tags_count: tagsCount} = json;
    return {
      id,
      projectId,
      name: name ?? '',
      path,
      registryHost: location.split('/')[0] ?? '',
      ...given({status, tagsCount}),
    };
  });

/** A tag, read one by one. For the digest ask the registry: without metadata database GitLab fails on an index. */
export interface TagDetail {
  readonly name: string;
  /** The manifest's; `revision`, beside it in the answer, is the config's. */
  readonly digest?: string;
  /** ISO 8601: with metadata database when the tag was pushed, without it when the image was built. */
  readonly createdAt?: string;
  /** Bytes. */
  readonly totalSize?: number;
}

/** GitLab: lib/api/entities/container_registry.rb, `TagDetails`. */
export const tagDetailSchema = z
  .object({
    name: z.string(),
    digest: z.string().nullish(),
    created_at: z.string().nullish(),
    total_size: z.int().nullish(),
  })
  .transform(
    ({name, digest, created_at: createdAt, total_size: totalSize}): TagDetail => ({
      name,
      ...given({digest, createdAt, totalSize}),
    }),
  );
