import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {TargetFacts} from '../../plan/transfer/facts.ts';
import {given} from '../given.ts';
import {whyNotImages, whyNotProjectPath} from '../../model/gitlab-naming.ts';
import type {Namespace} from '../namespace.ts';
import type {Project} from '../project.ts';
import type {Surroundings} from './surroundings.ts';

/** Who asks. */
interface Person {
  readonly isAdmin: boolean;
  readonly username?: string;
}

/**
 * Looks at where the project is to be.
 * @param to full path; with a `/` at its end it is a namespace, and the project keeps its path
 * @throws TransshipError USAGE, NAMESPACE_NOT_FOUND
 */
export async function findTarget(
  to: string,
  project: Project,
  person: Person,
  surroundings: Surroundings,
  call: Call,
): Promise<TargetFacts> {
  const {namespacePath, path} = splitTarget(to, project.path);
  const namespace = await findNamespace(namespacePath, surroundings, call);
  const fullPath = `${namespace.fullPath}/${path}`;
  return {
    fullPath,
    path,
    namespace: {id: namespace.id, fullPath: namespace.fullPath},
    taken: await findTaken(project, namespace, path, surroundings, call),
    ...given({
      isAllowed: await mayMoveTo(project, namespace, person, surroundings, call),
      whyNotPath: whyNotProjectPath(path),
      whyNotImages: whyNotImages(fullPath),
    }),
  };
}

/** @throws TransshipError NAMESPACE_NOT_FOUND */
export async function findNamespace(
  path: string,
  {gitlab}: Surroundings,
  call: Call,
): Promise<Namespace> {
  const namespace = await gitlab.groups.findNamespace(path, call);
  if (namespace !== undefined) return namespace;
  throw new TransshipError('NAMESPACE_NOT_FOUND', `GitLab shows no namespace "${path}"`, {
    side: 'gitlab',
    hint: 'check the path, and whether the owner of the token can see it; a group that is not there yet has to be made first',
    status: 404,
  });
}

function splitTarget(to: string, oldPath: string): {namespacePath: string; path: string} {
  const parts = to.split('/');
  const last = parts.pop() ?? '';
  const namespacePath = parts.join('/');
  if (parts.length > 0 && parts.every((part) => part !== ''))
    return {namespacePath, path: last === '' ? oldPath : last};
  throw new TransshipError('USAGE', `--to ${to} names no namespace`, {
    side: 'local',
    hint: `did you mean ${to}/? Write namespace/path, or namespace/ to keep the path of the project`,
  });
}

async function findTaken(
  project: Project,
  namespace: Namespace,
  path: string,
  {gitlab}: Surroundings,
  call: Call,
): Promise<TargetFacts['taken']> {
  /** Another project or a group at this very path, and not a project that GitLab leads to from there. */
  const lookAt = async (fullPath: string): Promise<{path?: string; isGroup?: boolean}> => {
    const found = await gitlab.projects.find(fullPath, call);
    const isThere = found && found.fullPath.toLowerCase() === fullPath.toLowerCase();
    if (isThere) return found.id === project.id ? {} : {path: found.fullPath};
    const group = await gitlab.groups.findNamespace(fullPath, call);
    return group === undefined ? {} : {path: group.fullPath, isGroup: true};
  };
  const at = async (fullPath: string) => (await lookAt(fullPath)).path;
  const {path: atTarget, isGroup} = await lookAt(`${namespace.fullPath}/${path}`);
  const isTransfer = namespace.id !== project.namespace.id;
  const isBoth = isTransfer && path !== project.path;
  return given({
    atTarget,
    isGroup,
    oldPathInNew: isBoth ? await at(`${namespace.fullPath}/${project.path}`) : undefined,
    newPathInOld: isBoth ? await at(`${project.namespace.fullPath}/${path}`) : undefined,
    name:
      isTransfer && namespace.kind === 'group'
        ? await namesake(project, namespace, gitlab, call)
        : undefined,
  });
}

/** A transfer is refused for the name as well (GitLab: app/services/projects/transfer_service.rb). */
async function namesake(
  project: Project,
  namespace: Namespace,
  gitlab: Surroundings['gitlab'],
  call: Call,
): Promise<string | undefined> {
  const projects = await gitlab.groups
    .projectsNamed(namespace.id, project.name, call)
    .catch(notTold);
  return projects?.find(({id, name}) => name === project.name && id !== project.id)?.fullPath;
}

/** Undefined: GitLab does not tell. */
async function mayMoveTo(
  project: Project,
  namespace: Namespace,
  {isAdmin, username}: Person,
  {gitlab}: Surroundings,
  call: Call,
): Promise<boolean | undefined> {
  if (isAdmin || namespace.id === project.namespace.id) return true;
  if (namespace.kind === 'user')
    return username === undefined ? undefined : namespace.fullPath === username;
  const search = namespace.fullPath.split('/').at(-1);
  const locations = await gitlab.projects
    .transferLocations(project.id, search, call)
    .catch(notTold);
  return locations?.some(({id}) => id === namespace.id);
}

/** Who may see too little of the project or of the group is told nothing. */
function notTold(error: unknown): undefined {
  if (error instanceof TransshipError && (error.status === 403 || error.status === 404))
    return undefined;
  throw error;
}
