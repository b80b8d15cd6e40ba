import {pause} from '../http/retry.ts';
import {TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';
import {z} from '../model/schema.ts';
import {DEFAULT_PATIENCE, type Patience} from './confirm.ts';
import {apiPath, type Connection} from './connection.ts';
import {given, registryHostSchema} from './entities.ts';

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
const containerRepositorySchema = z
  .object({
    id: z.int(),
    project_id: z.int(),
    name: z.string().nullish(),
    path: z.string(),
    location: registryHostSchema,
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
      registryHost: location,
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
const tagDetailSchema = z
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

/** Which repository, for calls that want its project too. */
export type RepositoryId = Pick<ContainerRepository, 'id' | 'projectId'>;

const tagSchema = z.object({name: z.string()});

/**
 * Calls about image paths and their tags (GitLab: doc/api/container_registry.md,
 * lib/api/project_container_repositories.rb).
 */
export class ContainerRepositories {
  readonly #connection: Connection;
  readonly #patience: Patience;

  constructor(connection: Connection, patience: Patience = DEFAULT_PATIENCE) {
    this.#connection = connection;
    this.#patience = patience;
  }

  /**
   * All of a project.
   * @param tagsCount whether to count the tags, for which GitLab asks its registry about each repository
   */
  async ofProject(
    projectId: number,
    {signal}: Call,
    tagsCount = true,
  ): Promise<readonly ContainerRepository[]> {
    return this.#connection.list(
      {
        path: apiPath`projects/${projectId}/registry/repositories`,
        query: {tags_count: tagsCount},
        signal,
      },
      containerRepositorySchema,
    );
  }

  /** All of a group and its subgroups, without `tagsCount`: the records that keep the group from moving. */
  async ofGroup(groupId: number, {signal}: Call): Promise<readonly ContainerRepository[]> {
    const path = apiPath`groups/${groupId}/registry/repositories`;
    return this.#connection.list({path, signal}, containerRepositorySchema);
  }

  /** With `tagsCount`. */
  async find(id: number, {signal}: Call): Promise<ContainerRepository | undefined> {
    return this.#connection.find(
      {path: apiPath`registry/repositories/${id}`, query: {tags_count: true}, signal},
      containerRepositorySchema,
    );
  }

  /**
   * All tag names. By keyset, which does not shift while tags are deleted; a registry without metadata database
   * refuses that with 405 and is asked by page numbers.
   */
  async tags({projectId, id}: RepositoryId, {signal}: Call): Promise<readonly string[]> {
    const path = apiPath`projects/${projectId}/registry/repositories/${id}/tags`;
    const list = async (query: {pagination?: string}) => {
      const tags = await this.#connection.list({path, query, signal}, tagSchema);
      return tags.map(({name}) => name);
    };
    return list({pagination: 'keyset'}).catch((error: unknown) => {
      if (error instanceof TransshipError && error.status === 405) return list({});
      throw error;
    });
  }

  async findTag(
    {projectId, id}: RepositoryId,
    name: string,
    {signal}: Call,
  ): Promise<TagDetail | undefined> {
    const path = apiPath`projects/${projectId}/registry/repositories/${id}/tags/${name}`;
    return this.#connection.find({path, signal}, tagDetailSchema);
  }

  /**
   * Deletes one tag and no other that has its digest; registries before 3.0 and those that are not GitLab's delete
   * all of them.
   * @throws TransshipError PROTECTED, FORBIDDEN
   */
  async deleteTag(
    {projectId, id}: RepositoryId,
    name: string,
    {signal}: Call,
  ): Promise<'deleted' | 'absent'> {
    const path = apiPath`projects/${projectId}/registry/repositories/${id}/tags/${name}`;
    const outcome = await this.#connection.remove({method: 'DELETE', path, signal});
    return outcome === 'accepted' ? 'deleted' : outcome;
  }

  /**
   * Asks for the deletion of the record and all of its tags. It takes minutes: see `untilDeleted`.
   * @throws TransshipError PROTECTED, FORBIDDEN
   */
  async delete({projectId, id}: RepositoryId, {signal}: Call): Promise<'accepted' | 'absent'> {
    const path = apiPath`projects/${projectId}/registry/repositories/${id}`;
    return this.#connection.remove({method: 'DELETE', path, signal});
  }

  /**
   * Waits until GitLab has deleted the repository.
   * @throws TransshipError REPOSITORY_DELETE_FAILED; CHANGE_NOT_SEEN when the patience is at its end
   */
  async untilDeleted(id: number, call: Call, patience = this.#patience): Promise<void> {
    for (let waitedMs = 0; ; waitedMs += patience.everyMs) {
      const repository = await this.find(id, call);
      if (!repository) return;
      if (repository.status === 'delete_failed') throw deleteFailed(repository);
      if (waitedMs >= patience.limitMs) throw stillThere(repository);
      await pause(patience.everyMs, call.signal);
    }
  }
}

function deleteFailed({path}: ContainerRepository): TransshipError {
  return new TransshipError('REPOSITORY_DELETE_FAILED', `GitLab failed to delete ${path}`, {
    side: 'gitlab',
    hint: 'ask an administrator to check that the registry may delete from its storage',
  });
}

function stillThere({path, status}: ContainerRepository): TransshipError {
  return new TransshipError('CHANGE_NOT_SEEN', `${path} still exists (${status ?? 'no status'})`, {
    side: 'gitlab',
    hint: 'GitLab deletes in the background, which takes minutes to hours; run the command again to resume',
    retry: true,
  });
}
