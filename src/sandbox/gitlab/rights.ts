import {ACCESS_LEVEL} from '../../gitlab/access-level.ts';
import {matches} from './pattern.ts';
import type {World, WorldGroup, WorldProject, WorldToken, WorldUser} from './world.ts';

/** Who asks, and with which token; without one it is a user with a password. */
export interface Person {
  readonly user: WorldUser;
  readonly token: WorldToken | undefined;
}

/** The access level in a group, its own or inherited (GitLab: app/models/group.rb, `max_member_access_for_user`). */
export function levelInGroup(world: World, user: WorldUser, group: WorldGroup): number {
  if (user.admin) return ACCESS_LEVEL.admin;
  const parent = group.parentId === undefined ? undefined : world.groups.get(group.parentId);
  const inherited = parent ? levelInGroup(world, user, parent) : 0;
  return Math.max(group.members.get(user.id) ?? 0, inherited);
}

/** The access level in a project. A user owns what is in the namespace that carries the user's name. */
export function levelInProject(world: World, user: WorldUser, project: WorldProject): number {
  if (user.admin) return ACCESS_LEVEL.admin;
  if (project.namespaceId === user.namespaceId) return ACCESS_LEVEL.owner;
  const group = world.groups.get(project.namespaceId);
  const inherited = group ? levelInGroup(world, user, group) : 0;
  return Math.max(project.members.get(user.id) ?? 0, inherited);
}

/** Whether somebody sees the project at all; others get 404. */
export function maySee(world: World, user: WorldUser | undefined, project: WorldProject): boolean {
  if (project.visibility === 'public') return true;
  if (!user) return false;
  return project.visibility === 'internal' || levelInProject(world, user, project) > 0;
}

/** Whether somebody may put projects into a namespace (GitLab: app/policies/group_policy.rb, `transfer_projects`). */
export function mayFill(world: World, user: WorldUser, namespaceId: number): boolean {
  const group = world.groups.get(namespaceId);
  if (!group) return user.namespaceId === namespaceId || user.admin;
  return levelInGroup(world, user, group) >= ACCESS_LEVEL.maintainer;
}

/** The rules of a kind that are above somebody's level. */
export function rulesAbove(
  rules: WorldProject['tagRules'],
  action: 'push' | 'delete',
  level: number,
): WorldProject['tagRules'] {
  return rules.filter((rule) => (rule[action] ?? 0) > level);
}

/** Whether a rule keeps the tag from somebody of this level. */
export function isKept(project: WorldProject, tag: string, level: number): boolean {
  const immutable = project.tagRules.filter(
    (rule) => rule.push === undefined && rule.delete === undefined,
  );
  return [...rulesAbove(project.tagRules, 'delete', level), ...immutable].some(({pattern}) =>
    matches(pattern, tag),
  );
}
