/** GitLab: lib/gitlab/visibility_level.rb. */
export type Visibility = 'private' | 'internal' | 'public';

/** Who may use a project's registry (GitLab: app/models/concerns/project_features_compatibility.rb). */
export type RegistryAccess = 'enabled' | 'private' | 'disabled';

/** Deletes old tags regularly (GitLab: app/models/container_expiration_policy.rb, with the API's field names). */
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
  /** Of the namespace that carries the user's name. */
  readonly namespaceId: number;
  readonly username: string;
  readonly password?: string;
  readonly admin: boolean;
}

/** An access token, the token of a deployment, or that of a CI job. */
export interface WorldToken {
  readonly id: number;
  readonly kind: 'access' | 'deploy' | 'job';
  readonly name: string;
  readonly value: string;
  /** Whose rights it carries; a deploy token has those that its scopes name. */
  readonly userId: number;
  readonly scopes: readonly string[];
  /** For deploy tokens and jobs. */
  readonly projectId?: number;
  /** For deploy tokens of a group. */
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
  /** The lowest role that may create projects in it (GitLab: lib/gitlab/access.rb, `project_creation_string_options`). */
  projectCreation: ProjectCreation;
  /** Access levels by user id. */
  readonly members: Map<number, number>;
}

export interface WorldRule {
  readonly id: number;
  pattern: string;
  /** Access levels; undefined: no limit. A rule for tags without both makes them immutable. */
  push: number | undefined;
  delete: number | undefined;
}

/** A comment on a merge request. */
export interface WorldNote {
  readonly id: number;
  readonly authorId: number;
  body: string;
}

/** IDs (GitLab: app/models/ci/job_token/allowlist.rb). */
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
  /** It has an npm package whose scope is the top-level group. */
  readonly hasScopedPackages: boolean;
  /** Pipelines that are running. */
  pipelines: number;
  /** Whose CI jobs may use the project, besides its own; undefined: those of all members. */
  readonly jobAllowlist: JobAllowlist | undefined;
  /** Notes, the oldest first, by the number of their merge request. */
  readonly mergeRequests: Map<number, WorldNote[]>;
  readonly members: Map<number, number>;
  readonly repositoryRules: WorldRule[];
  readonly tagRules: WorldRule[];
}

/** GitLab's record of an image path, which may be there without tags, and tags without it. */
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

/** All that the sandbox's GitLab knows, besides the content of its registry. */
export class World {
  readonly users = new Map<number, WorldUser>();
  readonly tokens: WorldToken[] = [];
  readonly groups = new Map<number, WorldGroup>();
  readonly projects = new Map<number, WorldProject>();
  readonly repositories = new Map<number, WorldRepository>();
  /** The projects that had a path before, by that path in lower case. */
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

  /** Paths do not differ in case alone (GitLab: app/models/concerns/routable.rb). */
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

  /** The group, its subgroups, theirs, and so on. */
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

  /** Its path in the registry. */
  repositoryPath(repository: WorldRepository): string {
    const project = this.projects.get(repository.projectId);
    const path = project ? registryPathOf(this.projectPath(project)) : '';
    return repository.name === '' ? path : `${path}/${repository.name}`;
  }

  /**
   * The project that an image path belongs to, and the image's name in it: at most two levels below the project, the
   * longest path first (GitLab: lib/container_registry/path.rb, `LEVELS_SUPPORTED`).
   */
  ownerOf(imagePath: string): {project: WorldProject; name: string} | undefined {
    const parts = imagePath.split('/');
    for (let below = 0; below <= 2; below++) {
      const project = this.projectAt(parts.slice(0, parts.length - below).join('/'));
      if (project) return {project, name: below === 0 ? '' : parts.slice(-below).join('/')};
    }
    return undefined;
  }

  /** The record of an image path, made if need be (GitLab: app/models/container_repository.rb). */
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

  /** Remembers the paths that projects have now, before they change. */
  keepRedirects(projects: readonly WorldProject[]): void {
    for (const project of projects)
      this.redirects.set(this.projectPath(project).toLowerCase(), project.id);
  }
}

/** Image paths are lower case, whatever the project's is (GitLab: lib/container_registry/path.rb, `to_s`). */
export function registryPathOf(projectPath: string): string {
  return projectPath.toLowerCase();
}

function samePath(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
