import {z} from '../../model/schema.ts';
import {jsonReply, type Reply} from '../exchange.ts';
import {isRepositoryPath} from '../names.ts';
import {
  type ApiCall,
  badRequest,
  bodyOf,
  forbidden,
  groupOf,
  maintainedProjectOf,
  notFound,
  pageReply,
  projectOf,
  requireLevel,
} from './api-call.ts';
import {presentGroup, presentProject} from './entities.ts';
import {hasTags, imagePathsOf} from './instance.ts';
import {ACCESS_LEVEL, isWider, levelInGroup, mayFill} from './rights.ts';
import {registryPathOf, type WorldGroup, type WorldProject} from './world.ts';

const transferSchema = z.object({namespace: z.coerce.string()});

/** `PUT /projects/:id/transfer` (GitLab: lib/api/projects.rb, app/services/projects/transfer_service.rb). */
export async function transferProject(call: ApiCall): Promise<Reply> {
  const {world, person, events, background, switches} = call;
  const project = projectOf(call);
  requireLevel(call, project, ACCESS_LEVEL.owner);
  // Nobody may transfer an archived project (GitLab: doc/user/project/working_with_projects.md).
  if (project.archived) requireLevel(call, project, Number.POSITIVE_INFINITY);
  const target = namespaceOf(call, bodyOf(call, transferSchema).namespace);
  if (target === undefined) throw notFound('Namespace');
  const why = await whyNotTransfer(call, project, target);
  if (why !== undefined) {
    const what = `transfer of ${world.projectPath(project)}`;
    events.add(person.user.username, {kind: 'refused', what, why});
    throw badRequest(`Failed to transfer project ${hashOf(call, why)}`);
  }
  const delayMs = switches.transferDelayMs;
  const move = () => moveProject(call, project, {namespaceId: target});
  if (delayMs === undefined) await move();
  else background.later(delayMs, move);
  return jsonReply(200, presentProject(call, project));
}

/** `GET /projects/:id/transfer_locations`: groups of which the caller is a maintainer, except the project's own. */
export function listTransferLocations(call: ApiCall): Reply {
  const project = maintainedProjectOf(call);
  return pageReply(
    call,
    locations(call, (group) => group.id !== project.namespaceId),
  );
}

/** `GET /groups/:id/transfer_locations`: for owners (GitLab: lib/api/groups.rb, `authorize! :admin_group`). */
export function listGroupTransferLocations(call: ApiCall): Reply {
  const group = groupOf(call);
  if (levelInGroup(call.world, call.person.user, group) < ACCESS_LEVEL.owner) throw forbidden();
  const inside = new Set(call.world.withSubgroups(group).map(({id}) => id));
  return pageReply(
    call,
    locations(call, ({id}) => !inside.has(id) && id !== group.parentId),
  );
}

function locations(call: ApiCall, isWanted: (group: WorldGroup) => boolean): readonly object[] {
  const {world, person, query} = call;
  const search = (query.get('search') ?? '').toLowerCase();
  return [...world.groups.values()]
    .filter((group) => levelInGroup(world, person.user, group) >= ACCESS_LEVEL.maintainer)
    .filter(isWanted)
    .filter(({name, path}) => `${name} ${path}`.toLowerCase().includes(search))
    .map((group) => presentGroup(call, group));
}

async function whyNotTransfer(
  call: ApiCall,
  project: WorldProject,
  target: number,
): Promise<string | undefined> {
  const {world, person} = call;
  const namespace = world.namespacePath(target) ?? '';
  const to = `${namespace}/${project.path}`;
  if (target === project.namespaceId) return 'Project is already in this namespace.';
  if (!mayFill(world, person.user, target))
    return "You don't have permission to transfer projects into that namespace.";
  if (world.isTaken(to)) return 'Project with same name or path in target namespace already exists';
  const isOtherRoot = rootOf(world.projectPath(project)) !== rootOf(to);
  if (project.hasScopedPackages && isOtherRoot)
    return "Root namespace can't be updated if the project has NPM packages scoped to the current root level namespace.";
  return textOf(await whyNotMove(call, project, to));
}

function textOf(why: MoveRefusal | undefined): string | undefined {
  switch (why) {
    case undefined:
      return undefined;
    case 'no-gitlab-api':
      return 'Project cannot be transferred, because image tags are present in its container registry';
    case 'other-root':
      return 'Project cannot be transferred to a different top-level namespace, because image tags are present in its container registry';
    default:
      return `Project cannot be transferred because of a container registry error: ${why}`;
  }
}

/** A Ruby hash in a string; its form depends on the version of Ruby (3.4 changed it). */
function hashOf({mode}: ApiCall, text: string): string {
  return mode === 'legacy' ? `{:new_namespace=>["${text}"]}` : `{new_namespace: ["${text}"]}`;
}

function namespaceOf({world}: ApiCall, idOrPath: string): number | undefined {
  if (!/^\d+$/.test(idOrPath))
    return world.groupAt(idOrPath)?.id ?? world.userNamed(idOrPath)?.namespaceId;
  const id = Number(idOrPath);
  return world.namespacePath(id) === undefined ? undefined : id;
}

/** GitLab container registry: docs/rename-base-repository-request-flow.md; !2816 raised it from 1,000. */
const SUB_REPOSITORY_LIMIT = 2000;

/** Why the registry cannot move a project's images (GitLab: lib/container_registry/gitlab_api_client.rb). */
export type MoveRefusal =
  /** The registry has no database. */
  | 'no-gitlab-api'
  /** It moves images only within a top-level group. */
  | 'other-root'
  /** Results of the dry run. */
  | 'Name Taken'
  | 'Too Many Subrepositories'
  | 'Rename Not Supported';

/** Checks whether the images can move with the project; undefined: they can, or there are none. */
export async function whyNotMove(
  call: ApiCall,
  project: WorldProject,
  to: string,
): Promise<MoveRefusal | undefined> {
  const {mode, world, switches, storage} = call;
  if (!(await hasTags(call, project))) return undefined;
  if (mode === 'legacy') return 'no-gitlab-api';
  const from = world.projectPath(project);
  if (rootOf(from) !== rootOf(to)) return 'other-root';
  if (switches.nativeMove === 'unsupported') return 'Rename Not Supported';
  const paths = await imagePathsOf(call, project);
  if (paths.length > SUB_REPOSITORY_LIMIT) return 'Too Many Subrepositories';
  for (const path of paths) {
    const target = movedImagePath(path, from, to);
    if (isRepositoryPath(target) && (await storage.manifests.tags(target)).length > 0)
      return 'Name Taken';
  }
  return undefined;
}

/**
 * Moves a project, which the caller has checked. The images move last, and GitLab ignores the result of that (GitLab:
 * app/services/projects/transfer_service.rb).
 */
export async function moveProject(
  call: ApiCall,
  project: WorldProject,
  place: {readonly namespaceId?: number; readonly path?: string},
): Promise<void> {
  const {mode, world, switches, storage, events, person} = call;
  const from = world.projectPath(project);
  const paths = await imagePathsOf(call, project);
  world.keepRedirects([project]);
  project.namespaceId = place.namespaceId ?? project.namespaceId;
  // GitLab: app/services/projects/transfer_service.rb, `update_namespace_and_visibility`.
  const group = world.groups.get(project.namespaceId);
  if (group && isWider(project.visibility, group.visibility)) project.visibility = group.visibility;
  project.path = place.path ?? project.path;
  const to = world.projectPath(project);
  const by = person.user.username;
  events.add(by, {kind: 'project-moved', id: project.id, from, to});
  if (mode === 'legacy' || switches.nativeMove !== 'works') return;
  if (registryPathOf(from) === registryPathOf(to)) return;
  for (const path of paths) {
    const target = movedImagePath(path, from, to);
    if (!isRepositoryPath(target)) continue;
    await storage.rename(path, target);
    events.add(by, {kind: 'repository-moved', from: path, to: target});
  }
}

/** The top-level group or the personal namespace. */
function rootOf(fullPath: string): string | undefined {
  return fullPath.split('/')[0];
}

/** The new path of an image whose project moves. */
function movedImagePath(path: string, from: string, to: string): string {
  return registryPathOf(to) + path.slice(registryPathOf(from).length);
}
