import {showMetadata, showToken, showUser, showVersion} from './account-api.ts';
import type {ApiHandler} from './api-call.ts';
import {removeTags} from './bulk-delete-api.ts';
import {
  listGroupProjects,
  showGroup,
  showNamespace,
  transferGroup,
  updateGroup,
} from './group-api.ts';
import {
  createProject,
  deleteProject,
  listPipelines,
  listProjects,
  showProject,
  updateProject,
} from './project-api.ts';
import {repositoryRules, tagRules} from './protection-api.ts';
import {
  listGroupRepositories,
  listRepositories,
  listTags,
  removeRepository,
  removeTag,
  showRepository,
  showTag,
} from './repository-api.ts';
import {
  listGroupTransferLocations,
  listTransferLocations,
  transferProject,
} from './transfer-api.ts';

/** Who may call: `api` alone, or those too that only read; `any` token; `job`: the token of a job as well. */
export type ApiAccess = 'write' | 'read' | 'any' | 'job-read' | 'job-write';

export interface ApiRoute {
  readonly method: string;
  readonly parts: readonly string[];
  readonly access: ApiAccess;
  readonly handler: ApiHandler;
}

const REGISTRY = 'projects/:id/registry';
const IMAGES = `${REGISTRY}/repositories`;
const IMAGE = `${IMAGES}/:repository`;
const PATH_RULES = `${REGISTRY}/protection/repository/rules`;
const TAG_RULES = `${REGISTRY}/protection/tag/rules`;

const ROUTES: readonly ApiRoute[] = [
  route('GET', 'version', 'any', showVersion),
  route('GET', 'metadata', 'any', showMetadata),
  route('GET', 'user', 'read', showUser),
  route('GET', 'personal_access_tokens/self', 'any', showToken),
  route('GET', 'namespaces/:id', 'read', showNamespace),
  route('GET', 'groups/:id', 'read', showGroup),
  route('PUT', 'groups/:id', 'write', updateGroup),
  route('POST', 'groups/:id/transfer', 'write', transferGroup),
  route('GET', 'groups/:id/transfer_locations', 'read', listGroupTransferLocations),
  route('GET', 'groups/:id/projects', 'read', listGroupProjects),
  route('GET', 'groups/:id/registry/repositories', 'read', listGroupRepositories),
  route('GET', 'projects', 'read', listProjects),
  route('POST', 'projects', 'write', createProject),
  route('GET', 'projects/:id', 'read', showProject),
  route('PUT', 'projects/:id', 'write', updateProject),
  route('DELETE', 'projects/:id', 'write', deleteProject),
  route('PUT', 'projects/:id/transfer', 'write', transferProject),
  route('GET', 'projects/:id/pipelines', 'read', listPipelines),
  route('GET', 'projects/:id/transfer_locations', 'read', listTransferLocations),
  route('GET', 'registry/repositories/:repository', 'read', showRepository),
  route('GET', IMAGES, 'job-read', listRepositories),
  route('DELETE', IMAGE, 'job-write', removeRepository),
  route('GET', `${IMAGE}/tags`, 'job-read', listTags),
  route('DELETE', `${IMAGE}/tags`, 'job-write', removeTags),
  route('GET', `${IMAGE}/tags/:tag`, 'job-read', showTag),
  route('DELETE', `${IMAGE}/tags/:tag`, 'job-write', removeTag),
  route('GET', PATH_RULES, 'read', repositoryRules.list),
  route('POST', PATH_RULES, 'write', repositoryRules.create),
  route('PATCH', `${PATH_RULES}/:rule`, 'write', repositoryRules.update),
  route('DELETE', `${PATH_RULES}/:rule`, 'write', repositoryRules.remove),
  route('GET', TAG_RULES, 'read', tagRules.list),
  route('POST', TAG_RULES, 'write', tagRules.create),
  route('PATCH', `${TAG_RULES}/:rule`, 'write', tagRules.update),
  route('DELETE', `${TAG_RULES}/:rule`, 'write', tagRules.remove),
];

/** The route for a path below `/api/v4/`, still percent-encoded, with what the path names. */
export function findRoute(
  method: string,
  path: string,
): {route: ApiRoute; params: Record<string, string>} | undefined {
  const given = path.split('/').filter(Boolean).map(decoded);
  for (const candidate of ROUTES) {
    const params = candidate.method === method ? match(candidate.parts, given) : undefined;
    if (params) return {route: candidate, params};
  }
  return undefined;
}

function route(method: string, path: string, access: ApiAccess, handler: ApiHandler): ApiRoute {
  return {method, parts: path.split('/'), access, handler};
}

function match(
  parts: readonly string[],
  given: readonly string[],
): Record<string, string> | undefined {
  if (parts.length !== given.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of parts.entries()) {
    const value = given[index] ?? '';
    if (part.startsWith(':')) params[part.slice(1)] = value;
    else if (part !== value) return undefined;
  }
  return params;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
