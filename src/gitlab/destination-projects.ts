import {TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {
  ancestorsOf,
  type DestinationGitLab,
  type KnownNamespace,
  type KnownProject,
  possibleProjects,
} from '../plan/migration/destination-projects.ts';
import {registryPathOf} from '../model/gitlab-naming.ts';
import type {User} from './account.ts';
import {addressOf, type GitLabToken} from './connection.ts';
import {ACCESS_LEVEL, accessLevelOf, given, type Group} from './entities.ts';
import type {GitLab} from './gitlab.ts';

/** Requests to GitLab's API at once: it counts them for each user. */
const AT_ONCE = 8;

/** An image path, and the project that it is to be in if there is none yet. */
export interface WantedPath {
  readonly path: string;
  readonly project?: string;
}

/**
 * Looks up the projects that image paths are in, and the groups of those that do not exist. Each path is asked for
 * once.
 * @throws TransshipError what GitLab answers
 */
export async function findDestinationProjects(
  gitlab: GitLab,
  registry: string,
  wanted: readonly WantedPath[],
  tokenKind: GitLabToken['kind'],
  call: Call,
): Promise<DestinationGitLab> {
  const lookup = new Lookup(gitlab, await ownerOf(gitlab, tokenKind, call), call);
  await mapAtOnce(wanted, AT_ONCE, async ({path, project = path}) => {
    for (const one of possibleProjects(path)) {
      const found = await lookup.project(one);
      if (found !== undefined && registryPathOf(found.fullPath) === one) return;
    }
    for (const one of [project, ...ancestorsOf(project)]) {
      // What is no group may be a project, in which there can be none.
      if ((await lookup.namespace(one)) || (await lookup.project(one))) return;
    }
  });
  const whyNotCreate = await whyNotCreateWith(gitlab, tokenKind, call);
  return {
    address: addressOf(gitlab.url),
    registry,
    projects: await settled(lookup.projects),
    namespaces: await settled(lookup.namespaces),
    ...(whyNotCreate === undefined ? {} : {whyNotCreate}),
  };
}

/** Remembers what was asked. */
class Lookup {
  readonly projects = new Map<string, Promise<KnownProject | undefined>>();
  readonly namespaces = new Map<string, Promise<KnownNamespace | undefined>>();
  readonly #gitlab: GitLab;
  readonly #owner: User | undefined;
  readonly #call: Call;

  /** @param owner of the token; undefined: not known */
  constructor(gitlab: GitLab, owner: User | undefined, call: Call) {
    this.#gitlab = gitlab;
    this.#owner = owner;
    this.#call = call;
  }

  project(path: string): Promise<KnownProject | undefined> {
    return remembered(this.projects, path, async () => {
      const found = await this.#gitlab.projects.find(path, this.#call);
      if (found === undefined) return undefined;
      const {fullPath, registryAccess, archived} = found;
      return {fullPath, isRegistryOff: registryAccess === 'disabled', isArchived: archived};
    });
  }

  namespace(path: string): Promise<KnownNamespace | undefined> {
    return remembered(this.namespaces, path, async () => {
      const group = await this.#gitlab.groups.find(path, this.#call);
      const isIt = (fullPath: string) => registryPathOf(fullPath) === registryPathOf(path);
      if (group && isIt(group.fullPath)) {
        const {fullPath, visibility} = group;
        return {fullPath, ...given({visibility}), ...(await this.#limits(group))};
      }
      if (path.includes('/')) return undefined;
      const user = await this.#gitlab.groups.findNamespace(path, this.#call);
      if (!user || !isIt(user.fullPath)) return undefined;
      const {fullPath} = user;
      const isOther = this.#owner?.isAdmin === false && this.#owner.username !== fullPath;
      const whyNotProjects = `it is the namespace of the user ${fullPath}`;
      return {fullPath, ...(isOther ? {whyNotProjects} : {})};
    });
  }

  /**
   * What the group does not let the token's owner create in it (GitLab: doc/user/group/manage.md, "Specify who can add
   * projects to a group"; doc/user/group/subgroups/_index.md, "Change who can create subgroups").
   */
  async #limits({
    id,
    projectCreation,
    subgroupCreation,
  }: Group): Promise<Pick<KnownNamespace, 'whyNotProjects' | 'whyNotGroups'>> {
    if (this.#owner === undefined) return {};
    const isAdmin = this.#owner.isAdmin;
    const level = isAdmin
      ? ACCESS_LEVEL.admin
      : await this.#gitlab.groups.levelOf(id, this.#owner.id, this.#call);
    return given({
      whyNotProjects: whyBelow(level, projectCreation, 'projects'),
      whyNotGroups: whyBelow(level, subgroupCreation, 'groups'),
    });
  }
}

/** @param least the role that is needed, in GitLab's words; undefined: not known */
function whyBelow(level: number, least: string | undefined, what: string): string | undefined {
  // Not even an administrator (GitLab: !171245).
  if (least === 'noone') return `nobody may create ${what} in it`;
  const needed = least === 'administrator' ? ACCESS_LEVEL.admin : accessLevelOf(least ?? '');
  if (needed === undefined || level >= needed) return undefined;
  const role = Object.entries(ACCESS_LEVEL).find(([, own]) => own === level)?.[0];
  const own = role === undefined ? 'has no role in it' : `is ${role} there`;
  return `the token's owner ${own}, and creating ${what} takes ${least}`;
}

/** Undefined: GitLab does not tell tokens without the scope. */
async function ownerOf(
  {account}: GitLab,
  tokenKind: GitLabToken['kind'],
  call: Call,
): Promise<User | undefined> {
  if (tokenKind === 'job-token') return undefined;
  return account.user(call).catch((error: unknown) => {
    if (error instanceof TransshipError && error.status === 403) return undefined;
    throw error;
  });
}

function remembered<T>(
  known: Map<string, Promise<T>>,
  path: string,
  find: () => Promise<T>,
): Promise<T> {
  const key = registryPathOf(path);
  const found = known.get(key) ?? find();
  known.set(key, found);
  return found;
}

async function settled<T>(
  known: ReadonlyMap<string, Promise<T | undefined>>,
): Promise<ReadonlyMap<string, T>> {
  const found = new Map<string, T>();
  for (const [path, promise] of known) {
    const value = await promise;
    if (value !== undefined) found.set(path, value);
  }
  return found;
}

/** A job's token opens its own project alone; what an access token may do is in its scopes. */
async function whyNotCreateWith(
  {account}: GitLab,
  tokenKind: GitLabToken['kind'],
  call: Call,
): Promise<string | undefined> {
  if (tokenKind === 'job-token') return 'CI_JOB_TOKEN cannot create projects';
  const token = await account.token(call);
  if (token === undefined || token.scopes.includes('api')) return undefined;
  return `the token has the scopes ${token.scopes.join(', ')}, not api`;
}
