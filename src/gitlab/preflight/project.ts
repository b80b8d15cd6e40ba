import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {GitLabTokenFacts, ProjectFacts, TargetFacts} from '../../plan/transfer/facts.ts';
import {throwIfJobToken} from '../connection.ts';
import {given, type Namespace, type Project} from '../entities.ts';
import {topLevelOf, whyNotImages, whyNotProjectPath} from '../../model/gitlab-naming.ts';
import type {Surroundings} from './surroundings.ts';

/**
 * Finds the project that is to move.
 * @throws TransshipError PROJECT_NOT_FOUND; TOKEN_SCOPE_MISSING for the token of a job
 */
export async function findProject(
  path: string,
  {gitlab, tokenKind}: Surroundings,
  call: Call,
): Promise<Project> {
  throwIfJobToken(tokenKind);
  const project = await gitlab.projects.find(path, call);
  if (project !== undefined) return project;
  if ((await gitlab.groups.find(path, call)) === undefined) return gitlab.projects.get(path, call);
  throw new TransshipError('PROJECT_NOT_FOUND', `${path} is a group, not a project`, {
    side: 'gitlab',
    hint: `to move the group with all its projects, use --group: transship plan transfer --group ${path} --to …`,
  });
}

export async function projectFacts(
  project: Project,
  {gitlab}: Surroundings,
  call: Call,
): Promise<ProjectFacts> {
  const {id, name, fullPath, path, namespace, archived, accessLevel, cleanupPolicy} = project;
  const runsAt = Date.parse(project.cleanupRunsAt ?? '');
  return {
    id,
    name,
    fullPath,
    path,
    namespace: {id: namespace.id, fullPath: namespace.fullPath},
    archived,
    accessLevel,
    isRegistryDisabled: project.registryAccess === 'disabled',
    ...given({
      deletionDate: project.deletionDate,
      policy: cleanupPolicy && {...cleanupPolicy},
      policyRunsAt: Number.isNaN(runsAt) ? undefined : runsAt,
      hasRunningPipelines: await gitlab.projects.hasRunningPipelines(id, call),
      visibility: project.visibility,
      scopedPackage: await gitlab.projects.scopedPackage(id, topLevelOf(fullPath), call),
    }),
  };
}

/** What GitLab says of the token; of a job's it says nothing. */
export async function tokenFacts(
  {gitlab, tokenKind: kind}: Surroundings,
  call: Call,
): Promise<GitLabTokenFacts & {readonly username?: string}> {
  if (kind === 'job-token') return {kind, isAdmin: false};
  const [token, user] = await Promise.all([
    gitlab.account.token(call),
    gitlab.account.user(call).catch((error: unknown) => {
      // Tokens without read_user are told nothing of their owner.
      if (error instanceof TransshipError && error.status === 403) return undefined;
      throw error;
    }),
  ]);
  const expiresAt = Date.parse(token?.expiresOn ?? '');
  return {
    kind,
    isAdmin: user?.isAdmin ?? false,
    ...given({
      username: user?.username,
      scopes: token?.scopes,
      expiresAt: Number.isNaN(expiresAt) ? undefined : expiresAt,
    }),
  };
}

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
    namespace: await namespaceFacts(namespace, surroundings, call),
    taken: await findTaken(project, namespace, path, surroundings, call),
    ...given({
      isAllowed: await mayMoveTo(project, namespace, person, surroundings, call),
      whyNotPath: whyNotProjectPath(path),
      whyNotImages: whyNotImages(fullPath),
    }),
  };
}

async function namespaceFacts(
  {id, fullPath, kind}: Namespace,
  {gitlab}: Surroundings,
  call: Call,
): Promise<TargetFacts['namespace']> {
  if (kind === 'user') return {id, fullPath, isUser: true};
  const visibility = (await gitlab.groups.find(id, call))?.visibility;
  return {id, fullPath, ...given({visibility})};
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
    hint: 'check the path, and that the owner of the token can see it; create the group first if it does not exist',
    status: 404,
  });
}

function splitTarget(to: string, oldPath: string): {namespacePath: string; path: string} {
  const parts = to.split('/');
  const last = parts.pop() ?? '';
  const namespacePath = parts.join('/');
  if (parts.length > 0 && parts.every((part) => part !== ''))
    return {namespacePath, path: last === '' ? oldPath : last};
  throw new TransshipError('USAGE', `--to ${to} does not name a namespace`, {
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
    name: isTransfer ? await namesake(project, namespace, gitlab, call) : undefined,
  });
}

/**
 * Another project with this name in a namespace: GitLab has each name once there, and refuses a new project as well as
 * a transfer (GitLab: app/models/project.rb, app/services/projects/transfer_service.rb).
 */
export async function namesake(
  project: {readonly id: number | undefined; readonly name: string},
  namespace: Namespace,
  gitlab: Surroundings['gitlab'],
  call: Call,
): Promise<string | undefined> {
  if (namespace.kind !== 'group') return undefined;
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

/** GitLab does not answer users with too few permissions on the project or the group. */
function notTold(error: unknown): undefined {
  if (error instanceof TransshipError && (error.status === 403 || error.status === 404))
    return undefined;
  throw error;
}
