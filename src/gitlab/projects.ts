import {TransshipError} from '../model/error.ts';
import type {Visibility} from '../model/plan.ts';
import type {Call} from '../model/port.ts';
import {z} from '../model/schema.ts';
import {confirm, DEFAULT_PATIENCE, type Patience} from './confirm.ts';
import {apiPath, type Connection} from './connection.ts';
import {
  ACCESS_LEVEL,
  type CleanupPolicy,
  type Project,
  projectSchema,
  type RegistryAccess,
  type TransferLocation,
  transferLocationSchema,
} from './entities.ts';
import type {GitLabRefusalContext} from './refusal.ts';

/** A transfer updates the routes of everything in the project before it is answered. */
const SLOW_ANSWER_MS = 180_000;

const TRANSFER_REFUSED: GitLabRefusalContext = {
  forbidden: {
    code: 'TRANSFER_FORBIDDEN',
    hint: 'use the token of a project owner who can create projects in the target namespace',
  },
  notFound: {
    code: 'NAMESPACE_NOT_FOUND',
    hint: 'check the target namespace, and that the owner of the token can see it',
  },
};

/** What a new project is made with. */
export interface NewProject {
  readonly path: string;
  readonly namespaceId: number;
  readonly visibility: Visibility;
  readonly description?: string;
}

const packagesSchema = z.array(z.object({name: z.string()}));

/** Calls about projects (GitLab: doc/api/projects.md, lib/api/projects.rb). */
export class Projects {
  readonly #connection: Connection;
  readonly #patience: Patience;

  constructor(connection: Connection, patience: Patience = DEFAULT_PATIENCE) {
    this.#connection = connection;
    this.#patience = patience;
  }

  /**
   * By id or full path; undefined: there is none, or none that the token may see. GitLab redirects the paths that a
   * project had before, so compare `fullPath`; from then on use the id.
   */
  async find(idOrPath: number | string, {signal}: Call): Promise<Project | undefined> {
    return this.#connection.find({path: apiPath`projects/${idOrPath}`, signal}, projectSchema);
  }

  /** Projects of the whole instance that the token may see, with all of these words in name, path or description. */
  async search(words: string, {signal}: Call): Promise<readonly Project[]> {
    const query = {search: words, order_by: 'id'};
    return this.#connection.list({path: 'projects', query, signal}, projectSchema);
  }

  /**
   * The projects whose images the token's owner may list: those that it is a member of, directly or through a group,
   * with at least the role of a reporter. By keyset, which GitLab asks for beyond 50,000 (GitLab:
   * doc/api/rest/_index.md, "Keyset-based pagination").
   */
  async ofMember({signal}: Call): Promise<readonly Project[]> {
    const query = {
      membership: true,
      min_access_level: ACCESS_LEVEL.reporter,
      pagination: 'keyset',
      order_by: 'id',
      sort: 'asc',
    };
    return this.#connection.list({path: 'projects', query, signal}, projectSchema);
  }

  /** @throws TransshipError PROJECT_NOT_FOUND */
  async get(idOrPath: number | string, call: Call): Promise<Project> {
    const project = await this.find(idOrPath, call);
    if (project) return project;
    throw new TransshipError('PROJECT_NOT_FOUND', `GitLab shows no project "${idOrPath}"`, {
      side: 'gitlab',
      hint: 'check the path, and that the owner of the token can see the project',
      status: 404,
    });
  }

  /** The groups that the token's owner may transfer the project to; users are not among them. */
  async transferLocations(
    id: number,
    search: string | undefined,
    {signal}: Call,
  ): Promise<readonly TransferLocation[]> {
    return this.#connection.list(
      {path: apiPath`projects/${id}/transfer_locations`, query: {search}, signal},
      transferLocationSchema,
    );
  }

  /**
   * Moves the project to another namespace, and waits until it is there. Done already, it changes nothing.
   * @throws TransshipError TRANSFER_TAGS_PRESENT, REGISTRY_RENAME_UNSUPPORTED, NAME_TAKEN, TRANSFER_FORBIDDEN,
   *   NAMESPACE_NOT_FOUND, TRANSFER_PACKAGES_PRESENT, CHANGE_NOT_SEEN
   */
  async transfer(id: number, namespaceId: number, call: Call): Promise<Project> {
    const {signal} = call;
    const moved = await confirm(
      {
        request: async () => {
          await this.#connection.send({
            method: 'PUT',
            path: apiPath`projects/${id}/transfer`,
            body: {namespace: namespaceId},
            headersTimeoutMs: SLOW_ANSWER_MS,
            refused: TRANSFER_REFUSED,
            signal,
          });
          return 'accepted';
        },
        read: () => this.get(id, call),
        isDone: ({namespace}) => namespace.id === namespaceId,
        unseen: ({fullPath}) => `the project is still ${fullPath}`,
      },
      this.#patience,
      call,
    );
    // A transfer is never ignored: every answer but 2xx is a refusal.
    return moved ?? this.get(id, call);
  }

  /**
   * Changes the last part of the project's path, and reads the project again: where the registry is in the way,
   * GitLab answers 200 with `null` and changes nothing (GitLab: lib/api/projects.rb, `render_validation_error!`).
   * @throws TransshipError PATH_CHANGE_REFUSED, NAME_TAKEN, NAME_RESERVED, FORBIDDEN, CHANGE_NOT_SEEN
   */
  async changePath(id: number, path: string, call: Call): Promise<Project> {
    const {signal} = call;
    const changed = await confirm(
      {
        request: async () => {
          const answer = await this.#connection.read(
            {
              method: 'PUT',
              path: apiPath`projects/${id}`,
              body: {path},
              headersTimeoutMs: SLOW_ANSWER_MS,
              signal,
            },
            projectSchema.nullable(),
          );
          return answer?.path === path ? 'accepted' : 'ignored';
        },
        read: () => this.get(id, call),
        isDone: (project) => project.path === path,
        unseen: (project) => `the project's path is still ${project.fullPath}`,
      },
      this.#patience,
      call,
    );
    if (changed) return changed;
    throw new TransshipError(
      'PATH_CHANGE_REFUSED',
      `GitLab answered 200 and did not change the path of project ${id} to "${path}"`,
      {
        side: 'gitlab',
        hint: 'GitLab does this when the registry contains images; remove the tags first, as `transship plan transfer --staged` does',
        status: 200,
      },
    );
  }

  /**
   * The name of an npm package in the scope of a top-level group, as `@org/lib`: with one GitLab does not let the
   * project leave that group (GitLab: app/services/projects/transfer_service.rb). Undefined: none, or none that the
   * token may see.
   */
  async scopedPackage(
    id: number,
    topLevelGroup: string,
    {signal}: Call,
  ): Promise<string | undefined> {
    const scope = `@${topLevelGroup}/`;
    const query = {package_type: 'npm', package_name: scope};
    const packages = await this.#connection
      .find({path: apiPath`projects/${id}/packages`, query, signal}, packagesSchema)
      .catch(hidden);
    return packages?.find(({name}) => name.startsWith(scope))?.name;
  }

  /** Whether pipelines of the project are running; undefined: the token may not see that. */
  async hasRunningPipelines(id: number, {signal}: Call): Promise<boolean | undefined> {
    const query = {status: 'running', per_page: 1};
    const running = await this.#connection
      .find({path: apiPath`projects/${id}/pipelines`, query, signal}, z.array(z.unknown()))
      .catch(hidden);
    return running && running.length > 0;
  }

  async setRegistryAccess(id: number, access: RegistryAccess, call: Call): Promise<void> {
    await this.#set(id, {container_registry_access_level: access}, call);
  }

  /** Sets the given parts of the cleanup policy: `{enabled: false}` pauses it, the policy as it was puts it back. */
  async setCleanupPolicy(id: number, policy: Partial<CleanupPolicy>, call: Call): Promise<void> {
    await this.#set(id, {container_expiration_policy_attributes: policy}, call);
  }

  /** @throws TransshipError NAME_TAKEN, NAME_RESERVED, FORBIDDEN */
  async create({path, namespaceId, ...rest}: NewProject, {signal}: Call): Promise<Project> {
    const body = {path, name: path, namespace_id: namespaceId, ...rest};
    return this.#connection.read({method: 'POST', path: 'projects', body, signal}, projectSchema);
  }

  /**
   * Asks for the deletion of a project. GitLab renames it first, so one with tags may refuse: empty it before.
   * `absent`: there is no such project.
   */
  async delete(id: number, {signal}: Call): Promise<'accepted' | 'absent'> {
    const request = {method: 'DELETE', path: apiPath`projects/${id}`, signal} as const;
    return this.#connection.remove(request);
  }

  /**
   * The project in the answer shows that it was GitLab that took it; a setting that it refuses may be answered 200
   * `null`.
   */
  async #set(id: number, body: object, {signal}: Call): Promise<void> {
    const path = apiPath`projects/${id}`;
    await this.#connection.read({method: 'PUT', path, body, signal}, projectSchema);
  }
}

/** So GitLab answers where a part of the project is switched off, too. */
function hidden(error: unknown): undefined {
  if (error instanceof TransshipError && error.status === 403) return undefined;
  throw error;
}
