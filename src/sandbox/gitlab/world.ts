/** GitLab: lib/gitlab/visibility_level.rb. */
export type Visibility = 'private' | 'internal' | 'public';

/** The access to a project's registry (GitLab: app/models/concerns/project_features_compatibility.rb). */
export type RegistryAccess = 'enabled' | 'private' | 'disabled';

/**
 * A policy that deletes old tags regularly (GitLab: app/models/container_expiration_policy.rb; field names of the API).
 */
export interface CleanupPolicy {
  readonly enabled: boolean;
  readonly cadence: string;
  readonly keep_n?: number;
  readonly older_than?: string;
  readonly name_regex?: string;
  readonly name_regex_keep?: string;
}

export interface WorldUser {
  readonly id: number;
  /** The id of the user's personal namespace. */
  readonly namespaceId: number;
  readonly username: string;
  readonly password?: string;
  readonly admin: boolean;
}

/** An access token, a deploy token, or the token of a CI job. */
export interface WorldToken {
  readonly id: number;
  readonly kind: 'access' | 'deploy' | 'job';
  readonly name: string;
  readonly value: string;
  /** The user whose rights it has; those of a deploy token depend on its scopes only. */
  readonly userId: number;
  readonly scopes: readonly string[];
  /** Of deploy tokens and jobs. */
  readonly projectId?: number;
  /** Of deploy tokens of a group. */
  readonly groupId?: number;
  /** `2027-01-31`. */
  readonly expiresOn?: string;
}

export type ProjectCreation = 'noone' | 'administrator' | 'owner' | 'maintainer' | 'developer';

export interface WorldGroup {
  readonly id: number;
  name: string;
  path: string;
  parentId: number | undefined;
  visibility: Visibility;
  /**
   * The lowest role that may create projects in the group (GitLab: lib/gitlab/access.rb,
   * `project_creation_string_options`).
   */
  projectCreation: ProjectCreation;
  /** Access levels by user id. */
  readonly members: Map<number, number>;
}

export interface WorldRule {
  readonly id: number;
  pattern: string;
  /** Minimum access levels; undefined: no restriction. A tag rule without either makes tags immutable. */
  push: number | undefined;
  delete: number | undefined;
}

/** A comment on a merge request. */
export interface WorldNote {
  readonly id: number;
  readonly authorId: number;
  body: string;
}

/** Ids of projects and groups whose CI jobs have access (GitLab: app/models/ci/job_token/allowlist.rb). */
export interface JobAllowlist {
  readonly projects: ReadonlySet<number>;
  readonly groups: ReadonlySet<number>;
}

export interface WorldProject {
  readonly id: number;
  name: string;
  path: string;
  /** Of a group or of a user. */
  namespaceId: number;
  visibility: Visibility;
  readonly description: string;
  archived: boolean;
  registryAccess: RegistryAccess;
  cleanupPolicy: CleanupPolicy;
  /** Whether it has an npm package whose scope is the top-level group. */
  readonly hasScopedPackages: boolean;
  /** The number of running pipelines. */
  pipelines: number;
  /** The CI jobs of other projects with access; undefined: those of all members. */
  readonly jobAllowlist: JobAllowlist | undefined;
  /** Notes by the number of their merge request, oldest first. */
  readonly mergeRequests: Map<number, WorldNote[]>;
  readonly members: Map<number, number>;
  readonly repositoryRules: WorldRule[];
  readonly tagRules: WorldRule[];
}

/** GitLab's record of an image path. There are records without tags, and tags without a record. */
export interface WorldRepository {
  readonly id: number;
  readonly projectId: number;
  /** Below the project's path; empty for the project's own. */
  readonly name: string;
  readonly createdAt: string;
  /** GitLab: app/models/container_repository.rb, `status`. */
  status: 'delete_scheduled' | 'delete_ongoing' | 'delete_failed' | null;
  /** ms since the epoch. */
  lastBulkDelete: number | undefined;
}

/** The data of the sandbox's GitLab, except the content of its registry. */
export class World {
  readonly users = new Map<number, WorldUser>();
  readonly tokens: WorldToken[] = [];
  readonly groups = new Map<number, WorldGroup>();
  readonly projects = new Map<number, WorldProject>();
  readonly repositories = new Map<number, WorldRepository>();
  /** Ids of projects by their former paths, in lower case. */
  readonly redirects = new Map<string, number>();
  #lastId = 0;

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  userNamed(username: string): WorldUser | undefined {
    return [...this.users.values()].find((user) => user.username === username);
  }

  /** The full path of a group, or a user's name; undefined: no such namespace. */
  namespacePath(id: number): string | undefined {
    const group = this.groups.get(id);
    if (!group) return [...this.users.values()].find((user) => user.namespaceId === id)?.username;
    const parent = group.parentId === undefined ? undefined : this.namespacePath(group.parentId);
    return parent === undefined ? group.path : `${parent}/${group.path}`;
  }

  projectPath(project: WorldProject): string {
    return `${this.namespacePath(project.namespaceId) ?? ''}/${project.path}`;
  }

  /** Paths are case-insensitive (GitLab: app/models/concerns/routable.rb). */
  groupAt(fullPath: string): WorldGroup | undefined {
    return [...this.groups.values()].find((group) =>
      samePath(this.namespacePath(group.id) ?? '', fullPath),
    );
  }

  projectAt(fullPath: string): WorldProject | undefined {
    return [...this.projects.values()].find((project) =>
      samePath(this.projectPath(project), fullPath),
    );
  }

  isTaken(fullPath: string): boolean {
    return this.groupAt(fullPath) !== undefined || this.projectAt(fullPath) !== undefined;
  }

  /** The group and all groups below it. */
  withSubgroups(group: WorldGroup): readonly WorldGroup[] {
    const children = [...this.groups.values()].filter(({parentId}) => parentId === group.id);
    return [group, ...children.flatMap((child) => this.withSubgroups(child))];
  }

  projectsIn(group: WorldGroup): readonly WorldProject[] {
    const ids = new Set(this.withSubgroups(group).map(({id}) => id));
    return [...this.projects.values()].filter(({namespaceId}) => ids.has(namespaceId));
  }

  repositoriesOf(project: WorldProject): readonly WorldRepository[] {
    return [...this.repositories.values()].filter(({projectId}) => projectId === project.id);
  }

  /** The path of a record in the registry. */
  repositoryPath(repository: WorldRepository): string {
    const project = this.projects.get(repository.projectId);
    const path = project ? registryPathOf(this.projectPath(project)) : '';
    return repository.name === '' ? path : `${path}/${repository.name}`;
  }

  /**
   * The project of an image path, and the image's name in it: at most two levels below the project; the longest project
   * path wins (GitLab: lib/container_registry/path.rb, `LEVELS_SUPPORTED`).
   */
  ownerOf(imagePath: string): {project: WorldProject; name: string} | undefined {
    const parts = imagePath.split('/');
    for (let below = 0; below <= 2; below++) {
      const project = this.projectAt(parts.slice(0, parts.length - below).join('/'));
      if (project) return {project, name: below === 0 ? '' : parts.slice(-below).join('/')};
    }
    return undefined;
  }

  /** The record of an image path, created if necessary (GitLab: app/models/container_repository.rb). */
  recordOf(project: WorldProject, name: string, now: number): WorldRepository {
    const found = this.repositoriesOf(project).find((repository) => repository.name === name);
    if (found) return found;
    const made: WorldRepository = {
      id: this.nextId(),
      projectId: project.id,
      name,
      createdAt: new Date(now).toISOString(),
      status: null,
      lastBulkDelete: undefined,
    };
    this.repositories.set(made.id, made);
    return made;
  }

  /** Adds redirects from the current paths of projects, before they change. */
  keepRedirects(projects: readonly WorldProject[]): void {
    for (const project of projects)
      this.redirects.set(this.projectPath(project).toLowerCase(), project.id);
  }
}

/** Image paths are lower case, regardless of the project's path (GitLab: lib/container_registry/path.rb, `to_s`). */
export function registryPathOf(projectPath: string): string {
  return projectPath.toLowerCase();
}

function samePath(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
