import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import type {TransferContext, Whereabouts} from './transfer-context.ts';

/**
 * Where the project is now. GitLab is asked by id: paths are what changes.
 * @throws TransshipError PROJECT_NOT_FOUND; DRIFT where it is at none of the plan's places
 */
export async function whereabouts(
  plan: TransferPlan,
  {gitlab}: Pick<TransferContext, 'gitlab'>,
  call: Call,
): Promise<Whereabouts> {
  const {id, from, to} = plan.project;
  const {fullPath} = await gitlab.projects.get(id, call);
  if (fullPath === to) return 'after';
  if (fullPath === from) return 'before';
  if (betweenPaths(plan).includes(fullPath)) return 'between';
  throw new TransshipError(
    'DRIFT',
    `project ${id} is at ${fullPath}, and the plan moves it from ${from} to ${to}`,
    {side: 'gitlab', hint: 'somebody moved it meanwhile; plan again from where it is'},
  );
}

/** The paths that the project has between two changes: GitLab changes namespace and path one after the other. */
function betweenPaths({steps, project: {from, to}}: TransferPlan): readonly string[] {
  if (steps.filter(({kind}) => kind === 'change-path').length < 2) return [];
  const [before, after] = [splitPath(from), splitPath(to)];
  return [`${after.namespace}/${before.path}`, `${before.namespace}/${after.path}`];
}

function splitPath(fullPath: string): {readonly namespace: string; readonly path: string} {
  const slash = fullPath.lastIndexOf('/');
  return {namespace: fullPath.slice(0, slash), path: fullPath.slice(slash + 1)};
}

/** @throws TransshipError NAME_TAKEN where another project has the new path by now */
export async function throwIfTaken(
  {project}: TransferPlan,
  {gitlab}: Pick<TransferContext, 'gitlab'>,
  call: Call,
): Promise<void> {
  const there = await gitlab.projects.find(project.to, call);
  // GitLab answers for a path that a project had before with where it is now.
  const isThere = there?.fullPath.toLowerCase() === project.to.toLowerCase();
  if (!isThere || there.id === project.id) return;
  throw new TransshipError('NAME_TAKEN', `project ${there.id} is at ${project.to} by now`, {
    side: 'gitlab',
    hint: 'move that project away, or plan again with another path',
  });
}
