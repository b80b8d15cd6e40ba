import {
  registryPathOf,
  whyNotGroupPath,
  whyNotImagePath,
  whyNotProjectPath,
} from '../../model/gitlab-naming.ts';
import type {Check, Visibility} from '../../model/plan.ts';
import {formatProblem} from '../../model/file-problem.ts';
import type {CreateRecord} from '../schema-parts.ts';
import type {RepositoryMapping} from './map-routes.ts';
import type {CopyMigration} from './migration.ts';

/** A GitLab instance to which images are copied, as far as its projects and groups were looked up. */
export interface DestinationGitLab {
  /** The URL of the instance, without a trailing slash. */
  readonly address: string;
  readonly registry: string;
  /** Projects by their path in lower case. */
  readonly projects: ReadonlyMap<string, KnownProject>;
  /** Groups and users by their path in lower case. */
  readonly namespaces: ReadonlyMap<string, KnownNamespace>;
  /** Why the token cannot create anything, as a clause; undefined: it may be able to. */
  readonly whyNotCreate?: string;
}

export interface KnownProject {
  /**
   * The current full path. It may differ from the path that was looked up, because GitLab redirects from earlier paths.
   */
  readonly fullPath: string;
  readonly isRegistryOff: boolean;
  readonly isArchived: boolean;
}

export interface KnownNamespace {
  readonly fullPath: string;
  /** Undefined: GitLab does not report it, as for a user's namespace. */
  readonly visibility?: Visibility;
  /** Why the token's owner cannot create projects or groups in it, as clauses; undefined: no reason is known. */
  readonly whyNotProjects?: string;
  readonly whyNotGroups?: string;
}

/** The projects and groups that a migration needs at its destinations. */
export interface DestinationProjects {
  /** Parents first. */
  readonly creations: readonly CreateRecord[];
  readonly checks: readonly Check[];
  /**
   * Destinations, as `host/path`, that need not be looked up: their project does not exist, or cannot contain images.
   */
  readonly absent: ReadonlySet<string>;
}

/**
 * The full paths of projects that may contain an image path, the shortest first: of two, the shorter one would be a
 * group.
 */
export function possibleProjects(path: string): readonly string[] {
  const parts = path.split('/');
  const lengths = [parts.length - 2, parts.length - 1, parts.length].filter((length) => length > 1);
  return lengths.map((length) => parts.slice(0, length).join('/'));
}

/** The groups above a path, the nearest first. */
export function ancestorsOf(path: string): readonly string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_part, below) => parts.slice(0, parts.length - below).join('/'));
}

/**
 * Decides which projects and groups have to be created, and what forbids that.
 * @param gitlabs instances by registry; a registry without an entry is not GitLab's, or its projects cannot be looked
 *   up
 */
export function decideProjects(
  migration: CopyMigration,
  mappings: readonly RepositoryMapping[],
  gitlabs: ReadonlyMap<string, DestinationGitLab>,
): DestinationProjects {
  const walk = new ProjectWalk(migration);
  for (const mapping of mappings) {
    const slash = mapping.destination.indexOf('/');
    const gitlab = gitlabs.get(mapping.destination.slice(0, slash));
    if (gitlab) walk.take(mapping, mapping.destination.slice(slash + 1), gitlab);
  }
  return walk;
}

/** A walk over the destinations. The first destination that needs a project or group decides about it. */
class ProjectWalk implements DestinationProjects {
  readonly creations: CreateRecord[] = [];
  readonly checks: Check[] = [];
  readonly absent = new Set<string>();
  readonly #file: string;
  readonly #policy: NonNullable<CopyMigration['gitlab']>;
  /** Decided projects and groups, by kind, registry and path. */
  readonly #decided = new Set<string>();

  constructor({file, gitlab}: CopyMigration) {
    this.#file = file;
    this.#policy = gitlab ?? {projects: 'require', groups: 'require', visibility: 'private'};
  }

  take(mapping: RepositoryMapping, path: string, gitlab: DestinationGitLab): void {
    const {at, moved} = this.#find(path, gitlab);
    const project = at?.fullPath ?? mapping.project ?? path;
    const why = whyNotImagePath(path, project);
    const isOpen = at !== undefined && !at.isRegistryOff && why === undefined;
    // The registry would respond to such a path as to a forbidden one.
    if (!isOpen) this.absent.add(mapping.destination);
    if (why !== undefined) {
      this.#forbid('NAME_RESERVED', mapping, mapping.destination, {
        message: `${mapping.source} cannot go to ${mapping.destination}: ${why}`,
        hint: 'change "to" or "project"; {flat} joins the parts of a path with "-"',
      });
    } else if (at !== undefined) this.#takeExisting(mapping, at, gitlab);
    else if (moved !== undefined) this.#takeMoved(mapping, moved, gitlab);
    else this.#takeMissing(mapping, project, gitlab);
  }

  /** The project that contains a path, at any depth, or an earlier path of a project. */
  #find(
    path: string,
    {projects}: DestinationGitLab,
  ): {readonly at?: KnownProject; readonly moved?: KnownProject & {readonly from: string}} {
    const above = [path, ...ancestorsOf(path)].filter((one) => one.includes('/'));
    const known = above.flatMap((from) => {
      const project = projects.get(from);
      return project ? [{...project, from}] : [];
    });
    // The shorter of two: the longer one would be in a group with the path of the shorter one.
    const at = known.findLast(({fullPath, from}) => registryPathOf(fullPath) === from);
    if (at !== undefined) return {at};
    const moved = known.at(-1);
    return moved === undefined ? {} : {moved};
  }

  #takeExisting(
    mapping: RepositoryMapping,
    {fullPath, isRegistryOff, isArchived}: KnownProject,
    gitlab: DestinationGitLab,
  ): void {
    if ((!isRegistryOff && !isArchived) || !this.#isFirst('closed', gitlab, fullPath)) return;
    if (isRegistryOff) {
      this.#forbid('REGISTRY_DISABLED', mapping, fullPath, {
        message: `the container registry of the project ${fullPath} is switched off`,
        hint: 'switch it on in the settings of the project, under Visibility',
      });
    } else {
      this.#forbid('REGISTRY_READ_ONLY', mapping, fullPath, {
        message: `the project ${fullPath} is archived: GitLab allows no push to it`,
        hint: 'unarchive the project, or change "to"',
      });
    }
  }

  /** GitLab's web pages and API redirect from an old path; its registry does not. */
  #takeMoved(
    mapping: RepositoryMapping,
    {fullPath, from}: KnownProject & {readonly from: string},
    gitlab: DestinationGitLab,
  ): void {
    if (!this.#isFirst('moved', gitlab, from)) return;
    this.#forbid('PROJECT_NOT_FOUND', mapping, from, {
      message: `the project ${from} is now ${fullPath}, and the registry does not redirect`,
      hint: `write ${fullPath} in "to"`,
    });
  }

  #takeMissing(mapping: RepositoryMapping, path: string, gitlab: DestinationGitLab): void {
    if (!this.#isFirst('project', gitlab, path)) return;
    const {address, registry, whyNotCreate} = gitlab;
    const {projects, visibility} = this.#policy;
    const name = path.slice(path.lastIndexOf('/') + 1);
    const why = whyNotProjectPath(name);
    if (gitlab.namespaces.has(registryPathOf(path))) {
      this.#forbid('NAME_TAKEN', mapping, path, {
        message: `${path} is a group, and images are in projects`,
        hint: 'add a part to "to", or name a project in that group with "project"',
      });
    } else if (!path.includes('/')) {
      this.#forbid('NAME_RESERVED', mapping, path, {
        message: `"${path}" cannot be a project: a project is in a group or in the namespace of a user`,
        hint: 'begin "to" with the path of a group',
      });
    } else if (projects === 'require') {
      this.#forbid('PROJECT_NOT_FOUND', mapping, path, {
        message: `the project ${path} does not exist at ${address}, or the token may not see it`,
        hint: 'create it, or write gitlab: {projects: create}',
      });
    } else if (why !== undefined) {
      this.#forbid('NAME_RESERVED', mapping, path, {
        message: `the project ${path} cannot be created: ${why}`,
        hint: 'change "to" or "project"',
      });
    } else if (whyNotCreate !== undefined) {
      // This applies to the whole instance.
      if (!this.#isFirst('token', gitlab, '')) return;
      this.#forbid('TOKEN_SCOPE_MISSING', mapping, path, {
        message: `the project ${path} cannot be created, nor any other at ${address}: ${whyNotCreate}`,
        hint: 'set GITLAB_TOKEN to an access token with the scope api, of a user who may create projects',
      });
    } else if (this.#takeGroups(mapping, path, gitlab)) {
      this.creations.push({kind: 'create-project', gitlab: address, registry, path, visibility});
    }
  }

  /** Creates the groups above a project, from the top. @returns whether the group exists or will be created */
  #takeGroups(mapping: RepositoryMapping, project: string, gitlab: DestinationGitLab): boolean {
    const {address, registry, namespaces} = gitlab;
    const {groups, visibility} = this.#policy;
    const missing: string[] = [];
    for (const group of ancestorsOf(project)) {
      const known = namespaces.get(registryPathOf(group));
      if (known) {
        const [what, why] =
          missing.length === 0
            ? [`the project ${project}`, known.whyNotProjects]
            : [`the group ${missing[0] ?? ''}`, known.whyNotGroups];
        if (why !== undefined) {
          this.#forbid('ROLE_MISSING', mapping, known.fullPath, {
            message: `${what} cannot be created in ${known.fullPath}: ${why}`,
            hint: 'use the token of a user with this role, have an owner of the group change who may create, or create it beforehand',
          });
          return false;
        }
        if (!isWider(visibility, known.visibility)) break;
        this.#forbid('GITLAB_REFUSED', mapping, project, {
          message: `${project} cannot be ${visibility}: the group ${known.fullPath} is ${known.visibility}`,
          hint: 'GitLab allows nothing wider than the group: change gitlab.visibility or that of the group',
        });
        return false;
      }
      missing.unshift(group);
    }
    for (const group of missing) {
      if (this.#isFirst('group', gitlab, group)) {
        const why = whyNotGroupPath(group);
        if (why !== undefined) {
          this.#forbid('NAME_RESERVED', mapping, group, {
            message: `the group ${group} cannot be created: ${why}`,
            hint: 'change "to" or "project"',
          });
          return false;
        }
        if (groups === 'require') {
          this.#forbid('GROUP_NOT_FOUND', mapping, group, {
            message: `the group ${group} does not exist at ${address}, or the token may not see it`,
            hint: 'create it, or write gitlab: {groups: create}',
          });
          return false;
        }
        this.creations.push({
          kind: 'create-group',
          gitlab: address,
          registry,
          path: group,
          visibility,
        });
      } else if (!this.#isCreated(registry, group)) return false;
    }
    return true;
  }

  #isCreated(registry: string, group: string): boolean {
    return this.creations.some(
      (one) => one.kind === 'create-group' && one.registry === registry && one.path === group,
    );
  }

  #isFirst(kind: string, {registry}: DestinationGitLab, path: string): boolean {
    const key = `${kind} ${registry}/${registryPathOf(path)}`;
    if (this.#decided.has(key)) return false;
    this.#decided.add(key);
    return true;
  }

  #forbid(
    code: Check['code'],
    {at}: RepositoryMapping,
    subject: string,
    {message, hint}: Pick<Check, 'message' | 'hint'>,
  ): void {
    const placed = formatProblem({file: this.#file, ...at, message});
    this.checks.push({code, result: 'forbid', subject, message: placed, hint});
  }
}

const WIDTH: readonly Visibility[] = ['private', 'internal', 'public'];

/** Nothing may have a wider visibility than its group (GitLab: lib/gitlab/visibility_level_checker.rb). */
function isWider(wanted: Visibility, group: Visibility | undefined): boolean {
  return group !== undefined && WIDTH.indexOf(wanted) > WIDTH.indexOf(group);
}
