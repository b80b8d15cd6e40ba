import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {ProjectFacts, TokenFacts} from '../../plan/transfer/facts.ts';
import type {Project} from '../project.ts';
import {throwIfJobToken} from '../gitlab-token.ts';
import {given} from '../given.ts';
import {rootOf} from '../namespace.ts';
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
    hint: 'name one of its projects; a group itself moves when none of its projects has image repositories',
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
      scopedPackage: await gitlab.projects.scopedPackage(id, rootOf(fullPath), call),
    }),
  };
}

/** What GitLab says of the token; of a job's it says nothing. */
export async function tokenFacts(
  {gitlab, tokenKind: kind}: Surroundings,
  call: Call,
): Promise<TokenFacts & {readonly username?: string}> {
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
