import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {GroupMove, ProjectMove} from '../../model/transfer-plan.ts';
import type {ProjectLocation, TransferContext} from './transfer-run.ts';

type Context = Pick<TransferContext, 'gitlab'>;

/**
 * The current location of the project. It is read by ID, because paths change.
 * @param group the group that it moves with
 * @throws TransshipError PROJECT_NOT_FOUND; DRIFT if it is at none of the paths in the plan
 */
export async function locateProject(
  move: ProjectMove,
  group: GroupMove | undefined,
  {gitlab}: Context,
  call: Call,
): Promise<ProjectLocation> {
  const {id, from, to} = move.project;
  const {fullPath} = await gitlab.projects.get(id, call);
  if (fullPath === to) return 'after';
  if (fullPath === from) return 'before';
  if (pathsBetweenChanges(move, group).includes(fullPath)) return 'between';
  throw elsewhere('project', id, fullPath, from, to);
}

/** Like `locateProject`. @throws TransshipError GROUP_NOT_FOUND; DRIFT */
export async function locateGroup(
  {group: {id, from, to}, steps}: GroupMove,
  {gitlab}: Context,
  call: Call,
): Promise<ProjectLocation> {
  const {fullPath} = await gitlab.groups.get(id, call);
  if (fullPath === to) return 'after';
  if (fullPath === from) return 'before';
  const changes = steps.filter(({kind}) => kind === 'change-group').length;
  if (changes > 1 && crossed(from, to).includes(fullPath)) return 'between';
  throw elsewhere('group', id, fullPath, from, to);
}

function elsewhere(
  what: 'project' | 'group',
  id: number,
  at: string,
  from: string,
  to: string,
): TransshipError {
  return new TransshipError(
    'DRIFT',
    `${what} ${id} is at ${at}, but the plan moves it from ${from} to ${to}`,
    {side: 'gitlab', hint: 'it was moved after planning; plan again from its current path'},
  );
}

/** The paths of the project between two changes: GitLab changes namespace and path one after the other. */
function pathsBetweenChanges(
  {steps, project: {from, to}}: ProjectMove,
  moving: GroupMove | undefined,
): readonly string[] {
  if (moving !== undefined) {
    const {group} = moving;
    if (moving.steps.filter(({kind}) => kind === 'change-group').length < 2) return [];
    return crossed(group.from, group.to).map((path) => path + from.slice(group.from.length));
  }
  const changes = steps.filter(({kind}) => kind === 'change-path').length;
  return changes < 2 ? [] : crossed(from, to);
}

/** The last part of each path in the namespace of the other. */
function crossed(from: string, to: string): readonly string[] {
  const [before, after] = [splitPath(from), splitPath(to)];
  return [`${after.namespace}${before.path}`, `${before.namespace}${after.path}`];
}

/** The parts of a full path: the namespace with a trailing `/` (empty at the top level), and the rest. */
export function splitPath(fullPath: string): {readonly namespace: string; readonly path: string} {
  const slash = fullPath.lastIndexOf('/') + 1;
  return {namespace: fullPath.slice(0, slash), path: fullPath.slice(slash)};
}

/** @throws TransshipError NAME_TAKEN if another project has the new path now */
export async function throwIfTaken(
  {project}: ProjectMove,
  {gitlab}: Context,
  call: Call,
): Promise<void> {
  const there = await gitlab.projects.find(project.to, call);
  // GitLab redirects from earlier paths of a project.
  const isThere = there?.fullPath.toLowerCase() === project.to.toLowerCase();
  if (isThere && there.id !== project.id) throw taken(`project ${there.id}`, project.to);
}

/** @throws TransshipError NAME_TAKEN if another group, user or project has the new path now */
export async function throwIfGroupTaken(
  {group}: GroupMove,
  {gitlab}: Context,
  call: Call,
): Promise<void> {
  const isAt = (found: {readonly fullPath: string} | undefined): boolean =>
    found?.fullPath.toLowerCase() === group.to.toLowerCase();
  const namespace = await gitlab.groups.findNamespace(group.to, call);
  if (namespace && isAt(namespace) && namespace.id !== group.id)
    throw taken(`${namespace.kind} ${namespace.id}`, group.to);
  if (!group.to.includes('/')) return;
  const project = await gitlab.projects.find(group.to, call);
  if (project && isAt(project)) throw taken(`project ${project.id}`, group.to);
}

function taken(what: string, path: string): TransshipError {
  return new TransshipError('NAME_TAKEN', `${what} is at ${path} by now`, {
    side: 'gitlab',
    hint: 'move it away, or plan again with another path',
  });
}
