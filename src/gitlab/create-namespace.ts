import {registryPathOf} from '../model/gitlab-naming.ts';
import {TransshipError} from '../model/error.ts';
import type {CreateStep} from '../model/plan.ts';
import type {Call} from '../model/port.ts';
import type {GitLab} from './gitlab.ts';

/** Whether there is a project or group at the path of a step; a path that GitLab redirects is not there. */
export async function namespaceExists(
  {projects, groups}: GitLab,
  {kind, path}: CreateStep,
  call: Call,
): Promise<boolean> {
  const kept = kind === 'create-project' ? projects.find(path, call) : groups.find(path, call);
  const found = await kept;
  return found !== undefined && registryPathOf(found.fullPath) === registryPathOf(path);
}

/**
 * Creates the project or group of a step. An answer that was lost is no failure: it is looked for.
 * @throws TransshipError GROUP_NOT_FOUND, NAME_TAKEN, NAME_RESERVED, FORBIDDEN
 */
export async function createNamespace(gitlab: GitLab, step: CreateStep, call: Call): Promise<void> {
  const {kind, path: fullPath, visibility} = step;
  const slash = fullPath.lastIndexOf('/');
  const [above, path] = [fullPath.slice(0, Math.max(0, slash)), fullPath.slice(slash + 1)];
  const parent = above === '' ? undefined : await gitlab.groups.findNamespace(above, call);
  if (above !== '' && parent === undefined) throw noParent(above);
  try {
    if (kind === 'create-group') {
      const parentId = parent?.id;
      const inside = parentId === undefined ? {} : {parentId};
      await gitlab.groups.create({path, visibility, ...inside}, call);
    } else if (parent === undefined) throw noParent(fullPath);
    else await gitlab.projects.create({path, visibility, namespaceId: parent.id}, call);
  } catch (error) {
    call.signal.throwIfAborted();
    if (!(await namespaceExists(gitlab, step, call).catch(() => false))) throw error;
  }
}

function noParent(path: string): TransshipError {
  return new TransshipError('GROUP_NOT_FOUND', `GitLab shows no group "${path}"`, {
    side: 'gitlab',
    hint: 'plan again: the group existed when the plan was made',
  });
}
