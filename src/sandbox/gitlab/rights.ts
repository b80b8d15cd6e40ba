import type {Action} from '../auth.ts';
import type {World, WorldGroup, WorldProject, WorldToken, WorldUser} from './world.ts';

/** Access levels; a higher one includes the lower ones (GitLab: lib/gitlab/access.rb). */
export const ACCESS_LEVEL = {
  guest: 10,
  planner: 15,
  reporter: 20,
  developer: 30,
  maintainer: 40,
  owner: 50,
  admin: 60,
} as const;

/** The caller: a user with a token, or with a password. */
export interface Person {
  readonly user: WorldUser;
  readonly token: WorldToken | undefined;
}

/** The access level in a group, direct or inherited (GitLab: app/models/group.rb, `max_member_access_for_user`). */
export function levelInGroup(world: World, user: WorldUser, group: WorldGroup): number {
  if (user.admin) return ACCESS_LEVEL.admin;
  const parent = group.parentId === undefined ? undefined : world.groups.get(group.parentId);
  const inherited = parent ? levelInGroup(world, user, parent) : 0;
  return Math.max(group.members.get(user.id) ?? 0, inherited);
}

/** The access level in a project. A user is the owner of the projects in the personal namespace. */
export function levelInProject(world: World, user: WorldUser, project: WorldProject): number {
  if (user.admin) return ACCESS_LEVEL.admin;
  if (project.namespaceId === user.namespaceId) return ACCESS_LEVEL.owner;
  const group = world.groups.get(project.namespaceId);
  const inherited = group ? levelInGroup(world, user, group) : 0;
  return Math.max(project.members.get(user.id) ?? 0, inherited);
}

/** Whether a user can see the project; otherwise GitLab answers 404. */
export function maySee(world: World, user: WorldUser | undefined, project: WorldProject): boolean {
  if (project.visibility === 'public') return true;
  if (!user) return false;
  return project.visibility === 'internal' || levelInProject(world, user, project) > 0;
}

/** Whether a user may create projects in a namespace (GitLab: app/policies/group_policy.rb, `create_projects`). */
export function mayCreateProjects(world: World, user: WorldUser, namespaceId: number): boolean {
  const group = world.groups.get(namespaceId);
  if (!group) return user.namespaceId === namespaceId || user.admin;
  const {projectCreation} = group;
  if (projectCreation === 'noone') return false;
  const least = projectCreation === 'administrator' ? 'admin' : projectCreation;
  return levelInGroup(world, user, group) >= ACCESS_LEVEL[least];
}

/**
 * Whether a user may transfer projects to a namespace: as a maintainer who may create them (same, `transfer_projects`).
 */
export function mayFill(world: World, user: WorldUser, namespaceId: number): boolean {
  const group = world.groups.get(namespaceId);
  const isHigh = !group || levelInGroup(world, user, group) >= ACCESS_LEVEL.maintainer;
  return isHigh && mayCreateProjects(world, user, namespaceId);
}

/** The rules that require a higher access level than `level`. */
export function rulesAbove(
  rules: WorldProject['tagRules'],
  action: 'push' | 'delete',
  level: number,
): WorldProject['tagRules'] {
  return rules.filter((rule) => (rule[action] ?? 0) > level);
}

/** Whether a rule forbids a user of this level to delete the tag. */
export function isKept(project: WorldProject, tag: string, level: number): boolean {
  const immutable = project.tagRules.filter(
    (rule) => rule.push === undefined && rule.delete === undefined,
  );
  return [...rulesAbove(project.tagRules, 'delete', level), ...immutable].some(({pattern}) =>
    matchesTag(pattern, tag),
  );
}

/**
 * The actions that a caller may take on a project's images: those that both the scopes of the token and the role of its
 * user allow (GitLab: lib/gitlab/auth.rb, app/services/auth/container_registry_authentication_service.rb).
 */
export function registryRights(
  world: World,
  person: Person | undefined,
  project: WorldProject,
): ReadonlySet<Action> {
  const rights = new Set<Action>();
  if (project.registryAccess === 'disabled') return rights;
  const scopes = scopesOf(world, person, project);
  const level = levelOf(world, person, project);
  const isOpen = project.registryAccess === 'enabled' && maySee(world, person?.user, project);
  const readsPublicly = isOpen && project.visibility !== 'private';
  if (scopes.has('pull') && (readsPublicly || level >= ACCESS_LEVEL.reporter)) rights.add('pull');
  // An archived project is read-only.
  if (project.archived || level < ACCESS_LEVEL.developer) return rights;
  if (scopes.has('push')) rights.add('push');
  if (scopes.has('delete')) rights.add('delete');
  if (scopes.has('delete') && level >= ACCESS_LEVEL.maintainer) rights.add('*');
  return rights;
}

/** `write_registry` does not include `read_registry`, and neither allows deletion. */
function scopesOf(
  world: World,
  person: Person | undefined,
  project: WorldProject,
): ReadonlySet<Action> {
  const token = person?.token;
  if (!person) return new Set(['pull']);
  if (!token) return new Set(['pull', 'push', 'delete']);
  const isElsewhere = token.projectId !== undefined && token.projectId !== project.id;
  const isOutside = token.groupId !== undefined && !isBelow(world, project, token.groupId);
  if (token.kind === 'deploy' && (isElsewhere || isOutside)) return new Set();
  // The token of a job can write only to its own project, and read those whose allowlist permits it.
  if (token.kind === 'job') {
    if (!isElsewhere) return new Set(['pull', 'push', 'delete']);
    return new Set(isJobAllowed(world, token.projectId ?? 0, project) ? ['pull'] : []);
  }
  const granted = new Set<Action>();
  const has = (...names: readonly string[]) => names.some((name) => token.scopes.includes(name));
  // Fine-grained tokens may read and delete images; there is no permission to push (GitLab:
  // doc/auth/tokens/fine_grained_access_tokens_other.md).
  if (has('api', 'read_api', 'read_registry', 'granular')) granted.add('pull');
  if (has('api', 'write_registry')) granted.add('push');
  if (has('api', 'granular') && token.kind === 'access') granted.add('delete');
  return granted;
}

/** GitLab: app/models/ci/job_token/scope.rb. A group on the list includes all projects below it. */
function isJobAllowed(world: World, job: number, {jobAllowlist}: WorldProject): boolean {
  const own = world.projects.get(job);
  if (jobAllowlist === undefined) return true;
  if (own === undefined) return false;
  return (
    jobAllowlist.projects.has(job) || [...jobAllowlist.groups].some((id) => isBelow(world, own, id))
  );
}

/** Whether a project is in a group or in one of its subgroups. */
function isBelow(world: World, {namespaceId}: WorldProject, groupId: number): boolean {
  for (let at = world.groups.get(namespaceId); at; at = world.groups.get(at.parentId ?? 0))
    if (at.id === groupId) return true;
  return false;
}

function levelOf(world: World, person: Person | undefined, project: WorldProject): number {
  if (!person) return 0;
  return person.token?.kind === 'deploy'
    ? ACCESS_LEVEL.developer
    : levelInProject(world, person.user, project);
}

/**
 * Whether a path matches the pattern of a repository rule, in which `*` matches any characters (GitLab:
 * doc/api/container_repository_protection_rules.md).
 */
export function matchesPath(pattern: string, path: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 'i').test(path);
}

/**
 * Whether the expression of a tag rule matches any part of a tag (GitLab:
 * app/services/projects/container_repository/gitlab/delete_tags_service.rb, `UntrustedRegexp#match?`; the registry gets
 * the same expressions in tokens). The examples in GitLab's API guide use `*` like a wildcard.
 */
export function matchesTag(pattern: string, tag: string): boolean {
  return new RegExp(pattern).test(tag);
}

const WIDTH = ['private', 'internal', 'public'];

/** Whether the first visibility is wider than the second. */
export function isWider(one: string, other: string): boolean {
  return WIDTH.indexOf(one) > WIDTH.indexOf(other);
}
