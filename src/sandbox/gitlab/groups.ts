import {z} from '../../model/schema.ts';
import {jsonReply, type Reply} from '../exchange.ts';
import {
  type ApiCall,
  badRequest,
  bodyOf,
  forbidden,
  groupOf,
  notFound,
  numberField,
  pageReply,
} from './api-call.ts';
import {presentGroup, presentNamespace, presentProject} from './entities.ts';
import {ACCESS_LEVEL, isWider, levelInGroup, maySee} from './rights.ts';
import type {Visibility, World, WorldGroup} from './world.ts';

/** The same in GitLab's app/services/groups/update_service.rb and transfer_service.rb. */
const IMAGES_PRESENT =
  'Cannot update the path because there are projects under this group that contain Docker images in their Container Registry. Please remove the images from your projects first and try again.';

/** `GET /groups/:id` */
export function showGroup(call: ApiCall): Reply {
  return jsonReply(200, presentGroup(call, groupOf(call)));
}

/** `GET /groups/:id/projects`; `include_subgroups` adds those of its subgroups. */
export function listGroupProjects(call: ApiCall): Reply {
  const {world, person, query} = call;
  const group = groupOf(call);
  const deep = query.get('include_subgroups') === 'true';
  const search = (query.get('search') ?? '').toLowerCase();
  const projects = world
    .projectsIn(group)
    .filter(({namespaceId}) => deep || namespaceId === group.id)
    .filter(({name, path}) => `${name} ${path}`.toLowerCase().includes(search))
    .filter((project) => maySee(world, person.user, project));
  return pageReply(
    call,
    projects.map((project) => presentProject(call, project)),
  );
}

/** `GET /groups/:id/members/all`: its own and those of the groups above (GitLab: doc/api/members.md). */
export function listGroupMembers(call: ApiCall): Reply {
  const {world} = call;
  const group = groupOf(call);
  const members = [...world.users.values()]
    .filter(({admin}) => !admin)
    .map((user) => ({
      id: user.id,
      username: user.username,
      state: 'active',
      access_level: levelInGroup(world, user, group),
    }))
    .filter(({access_level: level}) => level > 0);
  return pageReply(call, members);
}

/** `GET /groups/:id/members/all/:user` (GitLab: doc/api/members.md). */
export function showGroupMember(call: ApiCall): Reply {
  const {world, params} = call;
  const group = groupOf(call);
  const user = world.users.get(Number(params['user']));
  const level = user === undefined || user.admin ? 0 : levelInGroup(world, user, group);
  if (user === undefined || level === 0) throw notFound();
  const {id, username} = user;
  return jsonReply(200, {id, username, state: 'active', access_level: level});
}

/** `GET /namespaces/:id` */
export function showNamespace(call: ApiCall): Reply {
  const {world, params} = call;
  const name = params['id'] ?? '';
  const id = /^\d+$/.test(name)
    ? Number(name)
    : (world.groupAt(name)?.id ?? world.userNamed(name)?.namespaceId);
  if (id === undefined || world.namespacePath(id) === undefined) throw notFound('Namespace');
  return jsonReply(200, presentNamespace(call, id));
}

const createSchema = z.object({
  path: z.string(),
  name: z.string(),
  parent_id: numberField.optional(),
  visibility: z.enum(['private', 'internal', 'public']).default('private'),
});

/**
 * `POST /groups`. Subgroups may be created by maintainers, top-level groups by every user, unless the instance says
 * otherwise (GitLab: app/policies/group_policy.rb, `create_subgroup`). Errors are a Ruby hash in a text (GitLab:
 * lib/api/groups.rb).
 */
export function createGroup(call: ApiCall): Reply {
  const {world, person, events} = call;
  const {path, name, parent_id: parentId, visibility} = bodyOf(call, createSchema);
  const parent = parentId === undefined ? undefined : world.groups.get(parentId);
  if (parentId !== undefined && !parent) throw notFound('Group');
  if (parent && levelInGroup(world, person.user, parent) < ACCESS_LEVEL.maintainer)
    throw forbidden();
  const above = parent === undefined ? '' : `${world.namespacePath(parent.id)}/`;
  if (world.isTaken(above + path))
    throw badRequest('Failed to save group {:path=>["has already been taken"]}');
  if (parent && isWider(visibility, parent.visibility)) {
    const why = `${visibility} is not allowed since the parent group has a ${parent.visibility} visibility.`;
    throw badRequest(`Failed to save group {:visibility_level=>["${why}"]}`);
  }
  const members = parent ? [] : [[person.user.id, ACCESS_LEVEL.owner] as const];
  const group: WorldGroup = {
    id: world.nextId(),
    name,
    path,
    parentId,
    visibility,
    projectCreation: 'developer',
    members: new Map(members),
  };
  world.groups.set(group.id, group);
  const what = {id: group.id, path: above + path};
  events.add(person.user.username, {kind: 'group-created', ...what});
  return jsonReply(201, presentGroup(call, group));
}

const updateSchema = z.object({path: z.string().optional(), name: z.string().optional()});

/** `PUT /groups/:id` */
export function updateGroup(call: ApiCall): Reply {
  const group = groupOf(call);
  requireOwner(call, group);
  const {path, name} = bodyOf(call, updateSchema);
  if (path !== undefined && path !== group.path) {
    if (hasRepositories(call, group)) throw refused(call, group, {base: [IMAGES_PRESENT]});
    move(call, group, group.parentId, path);
  }
  group.name = name ?? group.name;
  return jsonReply(200, presentGroup(call, group));
}

const transferSchema = z.object({group_id: numberField.optional()});

/**
 * `POST /groups/:id/transfer`; without `group_id`, the group becomes a top-level group (GitLab:
 * app/services/groups/transfer_service.rb, `ensure_allowed_transfer`, which is the order of the refusals).
 */
export function transferGroup(call: ApiCall): Reply {
  const {world} = call;
  const group = groupOf(call);
  requireOwner(call, group);
  const {group_id: parentId} = bodyOf(call, transferSchema);
  const parent = parentId === undefined ? undefined : world.groups.get(parentId);
  if (parentId !== undefined && !parent) throw notFound('Group');
  const why = whyNotTransfer(call, group, parent);
  if (why !== undefined) throw refused(call, group, `Transfer failed: ${why}`);
  move(call, group, parentId, group.path);
  ensureOwner(call, group);
  return jsonReply(201, presentGroup(call, group));
}

function whyNotTransfer(
  call: ApiCall,
  group: WorldGroup,
  parent: WorldGroup | undefined,
): string | undefined {
  const {world, person} = call;
  if (!parent && group.parentId === undefined) return 'Group is already a root group.';
  if (parent?.id === group.parentId) return 'Group is already associated to the parent group.';
  if (parent && levelInGroup(world, person.user, parent) < ACCESS_LEVEL.maintainer)
    return "You don't have enough permissions.";
  const above = parent ? `${world.namespacePath(parent.id)}/` : '';
  if (world.isTaken(above + group.path))
    return 'The parent group already has a subgroup or a project with the same path.';
  if (hasRepositories(call, group)) return IMAGES_PRESENT;
  if (parent && world.withSubgroups(group).includes(parent))
    return 'Cannot transfer group to one of its subgroup.';
  return undefined;
}

/**
 * A record blocks a group, with or without tags; projects whose registry is disabled do not count (GitLab:
 * app/models/container_repository.rb, `for_group_and_its_subgroups`).
 */
function hasRepositories({world}: ApiCall, group: WorldGroup): boolean {
  return world
    .projectsIn(group)
    .some(
      (project) =>
        project.registryAccess !== 'disabled' && world.repositoriesOf(project).length > 0,
    );
}

function move(
  {world, person, events}: ApiCall,
  group: WorldGroup,
  parentId: number | undefined,
  path: string,
): void {
  const from = world.namespacePath(group.id) ?? '';
  const parent = parentId === undefined ? undefined : world.namespacePath(parentId);
  const to = parent === undefined ? path : `${parent}/${path}`;
  if (world.isTaken(to)) throw badRequest({path: ['has already been taken']});
  world.keepRedirects(world.projectsIn(group));
  group.parentId = parentId;
  group.path = path;
  const above = parentId === undefined ? undefined : world.groups.get(parentId);
  if (above) narrow(world, group, above.visibility);
  events.add(person.user.username, {kind: 'group-moved', id: group.id, from, to});
}

/** GitLab: app/services/groups/transfer_service.rb, `update_children_and_projects_visibility`. */
function narrow(world: World, group: WorldGroup, to: Visibility): void {
  for (const one of [...world.withSubgroups(group), ...world.projectsIn(group)])
    if (isWider(one.visibility, to)) one.visibility = to;
}

/** A top-level group inherits no members, so it needs an owner (GitLab: transfer_service.rb, `ensure_ownership`). */
function ensureOwner({person}: ApiCall, group: WorldGroup): void {
  const isOwned = [...group.members.values()].includes(ACCESS_LEVEL.owner);
  if (group.parentId === undefined && !isOwned)
    group.members.set(person.user.id, ACCESS_LEVEL.owner);
}

function requireOwner({world, person}: ApiCall, group: WorldGroup): void {
  if (levelInGroup(world, person.user, group) < ACCESS_LEVEL.owner) throw forbidden();
}

function refused({world, person, events}: ApiCall, group: WorldGroup, message: unknown) {
  const what = `move of ${world.namespacePath(group.id)}`;
  events.add(person.user.username, {kind: 'refused', what, why: JSON.stringify(message)});
  return badRequest(message);
}
