import {bytesReply, type Exchange, jsonReply, type Reply} from '../exchange.ts';
import {
  listAllowedGroups,
  listAllowedProjects,
  listGroupDeployTokens,
  showJobTokenScope,
} from './foreign-access.ts';
import {bearerOf, showMetadata, showToken, showUser, showVersion, tokenOf} from './account.ts';
import {type ApiHandler, ApiRefusal, notFound, readBody, unauthorized} from './api-call.ts';
import {removeTags} from './cleanup.ts';
import {
  createGroup,
  listGroupMembers,
  listGroupProjects,
  showGroup,
  showGroupMember,
  showNamespace,
  transferGroup,
  updateGroup,
} from './groups.ts';
import type {Instance} from './instance.ts';
import {
  createProject,
  deleteProject,
  listPipelines,
  listProjects,
  showProject,
  updateProject,
} from './projects.ts';
import {repositoryRules, tagRules} from './protection.ts';
import {
  listGroupRepositories,
  listRepositories,
  listTags,
  removeRepository,
  removeTag,
  showRepository,
  showTag,
} from './repositories.ts';
import {createNote, deleteNote, listNotes, updateNote} from './notes.ts';
import type {Person} from './rights.ts';
import {listGroupTransferLocations, listTransferLocations, transferProject} from './transfers.ts';

/** GitLab's REST API, `/api/v4`: its routes, authentication, scopes, rate limit. */
export class Api {
  readonly #instance: Instance;
  readonly #rateLimit: RateLimit | undefined;

  constructor(instance: Instance, rateLimit: RateLimitOptions | undefined) {
    this.#instance = instance;
    this.#rateLimit = rateLimit && new RateLimit(rateLimit, instance.clock);
  }

  async answer(exchange: Exchange): Promise<Reply> {
    try {
      const person = this.#authenticate(exchange);
      const limited = this.#rateLimit?.count(person?.user.username ?? '');
      if (limited?.refused) return limited.refused;
      const reply = await this.#call(exchange, person);
      return {...reply, headers: {...reply.headers, ...limited?.headers}};
    } catch (error) {
      if (error instanceof ApiRefusal) return error.reply;
      throw error;
    }
  }

  async #call(exchange: Exchange, person: Person | undefined): Promise<Reply> {
    const found = findRoute(exchange.method, exchange.path.replace(/^\/api\/v4\/?/, ''));
    if (!found) return jsonReply(404, {error: '404 Not Found'});
    if (!person) throw unauthorized();
    const {route, params} = found;
    requireScope(person, route.access, this.#instance, params['id']);
    const body = await readBody(exchange);
    const {query} = exchange;
    return route.handler({...this.#instance, exchange, person, params, query, body});
  }

  /**
   * Authenticates by `PRIVATE-TOKEN`, `JOB-TOKEN` or bearer token (GitLab: lib/gitlab/auth/auth_finders.rb).
   * @throws ApiRefusal 401
   */
  #authenticate({headers}: Exchange): Person | undefined {
    const [, bearer] = /^bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? [];
    const value = headers['private-token'] ?? headers['job-token'] ?? bearer;
    if (value === undefined) return undefined;
    const {world, clock} = this.#instance;
    const token = tokenOf(world, String(value), clock());
    const wanted = headers['job-token'] === undefined ? 'access' : 'job';
    if (token?.kind !== wanted) throw unauthorized();
    return bearerOf(world, token);
  }
}

/**
 * Requires a scope that gives access to an endpoint (GitLab: lib/api/api_guard.rb). The token of a job gives access
 * only to the registry of its own project.
 * @throws ApiRefusal 401, 403, 404
 */
function requireScope(
  {token}: Person,
  access: ApiAccess,
  {world}: Instance,
  projectId: string | undefined,
): void {
  if (token?.kind === 'job') {
    if (access !== 'job-read' && access !== 'job-write') throw unauthorized();
    const project = world.projects.get(token.projectId ?? 0);
    const isOwn =
      project && [String(project.id), world.projectPath(project)].includes(projectId ?? '');
    if (!isOwn) throw notFound('Project');
    return;
  }
  const reads = access === 'read' || access === 'job-read';
  // The permissions of fine-grained tokens are not modelled: they give access to the whole REST API.
  const wanted = reads ? ['api', 'read_api', 'granular'] : ['api', 'granular'];
  if (access === 'any' || token?.scopes.some((scope) => wanted.includes(scope))) return;
  throw new ApiRefusal(403, {
    error: 'insufficient_scope',
    error_description: 'The request requires higher privileges than provided by the access token.',
    scope: wanted.join(' '),
  });
}

/** The required scope: `write`: `api`; `read`: also `read_api`; `any`: none; `job-…`: the token of a job as well. */
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
const JOB_TOKENS = 'projects/:id/job_token_scope';
const NOTES = 'projects/:id/merge_requests/:iid/notes';
const TAG_RULES = `${REGISTRY}/protection/tag/rules`;

const ROUTES: readonly ApiRoute[] = [
  endpoint('GET', 'version', 'any', showVersion),
  endpoint('GET', 'metadata', 'any', showMetadata),
  endpoint('GET', 'user', 'read', showUser),
  endpoint('GET', 'personal_access_tokens/self', 'any', showToken),
  endpoint('GET', 'namespaces/:id', 'read', showNamespace),
  endpoint('POST', 'groups', 'write', createGroup),
  endpoint('GET', 'groups/:id', 'read', showGroup),
  endpoint('PUT', 'groups/:id', 'write', updateGroup),
  endpoint('POST', 'groups/:id/transfer', 'write', transferGroup),
  endpoint('GET', 'groups/:id/transfer_locations', 'read', listGroupTransferLocations),
  endpoint('GET', 'groups/:id/members/all', 'read', listGroupMembers),
  endpoint('GET', 'groups/:id/members/all/:user', 'read', showGroupMember),
  endpoint('GET', 'groups/:id/deploy_tokens', 'read', listGroupDeployTokens),
  endpoint('GET', 'groups/:id/projects', 'read', listGroupProjects),
  endpoint('GET', 'groups/:id/registry/repositories', 'read', listGroupRepositories),
  endpoint('GET', 'projects', 'read', listProjects),
  endpoint('POST', 'projects', 'write', createProject),
  endpoint('GET', 'projects/:id', 'read', showProject),
  endpoint('PUT', 'projects/:id', 'write', updateProject),
  endpoint('DELETE', 'projects/:id', 'write', deleteProject),
  endpoint('PUT', 'projects/:id/transfer', 'write', transferProject),
  endpoint('GET', 'projects/:id/pipelines', 'read', listPipelines),
  endpoint('GET', JOB_TOKENS, 'read', showJobTokenScope),
  endpoint('GET', `${JOB_TOKENS}/allowlist`, 'read', listAllowedProjects),
  endpoint('GET', `${JOB_TOKENS}/groups_allowlist`, 'read', listAllowedGroups),
  endpoint('GET', 'projects/:id/transfer_locations', 'read', listTransferLocations),
  endpoint('GET', NOTES, 'read', listNotes),
  endpoint('POST', NOTES, 'write', createNote),
  endpoint('PUT', `${NOTES}/:note`, 'write', updateNote),
  endpoint('DELETE', `${NOTES}/:note`, 'write', deleteNote),
  endpoint('GET', 'registry/repositories/:repository', 'read', showRepository),
  endpoint('GET', IMAGES, 'job-read', listRepositories),
  endpoint('DELETE', IMAGE, 'job-write', removeRepository),
  endpoint('GET', `${IMAGE}/tags`, 'job-read', listTags),
  endpoint('DELETE', `${IMAGE}/tags`, 'job-write', removeTags),
  endpoint('GET', `${IMAGE}/tags/:tag`, 'job-read', showTag),
  endpoint('DELETE', `${IMAGE}/tags/:tag`, 'job-write', removeTag),
  endpoint('GET', PATH_RULES, 'read', repositoryRules.list),
  endpoint('POST', PATH_RULES, 'write', repositoryRules.create),
  endpoint('PATCH', `${PATH_RULES}/:rule`, 'write', repositoryRules.update),
  endpoint('DELETE', `${PATH_RULES}/:rule`, 'write', repositoryRules.remove),
  endpoint('GET', TAG_RULES, 'read', tagRules.list),
  endpoint('POST', TAG_RULES, 'write', tagRules.create),
  endpoint('PATCH', `${TAG_RULES}/:rule`, 'write', tagRules.update),
  endpoint('DELETE', `${TAG_RULES}/:rule`, 'write', tagRules.remove),
];

/** The route for a percent-encoded path below `/api/v4/`, with the parameters of the path. */
function findRoute(
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

function endpoint(method: string, path: string, access: ApiAccess, handler: ApiHandler): ApiRoute {
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

export interface RateLimitOptions {
  /** Requests of one user in a period. */
  readonly requests: number;
  /** Default: one minute, as in GitLab. */
  readonly periodMs?: number;
}

/** GitLab's limit for authenticated API requests (GitLab: lib/gitlab/rack_attack.rb). */
export class RateLimit {
  readonly #options: Required<RateLimitOptions>;
  readonly #clock: () => number;
  readonly #counted = new Map<string, {period: number; observed: number}>();

  constructor({requests, periodMs = 60_000}: RateLimitOptions, clock: () => number) {
    this.#options = {requests, periodMs};
    this.#clock = clock;
  }

  /** Counts a request. `refused`: the response to a request above the limit. */
  count(who: string): {readonly headers: Reply['headers']; readonly refused: Reply | undefined} {
    const {requests, periodMs} = this.#options;
    const now = this.#clock();
    const period = Math.floor(now / periodMs);
    const before = this.#counted.get(who);
    const observed = before?.period === period ? before.observed + 1 : 1;
    this.#counted.set(who, {period, observed});
    const resetMs = (period + 1) * periodMs;
    const headers = {
      'ratelimit-limit': String(requests),
      'ratelimit-name': 'throttle_authenticated_api',
      'ratelimit-observed': String(observed),
      'ratelimit-remaining': String(Math.max(0, requests - observed)),
      'ratelimit-reset': String(Math.ceil(resetMs / 1000)),
    };
    if (observed <= requests) return {headers, refused: undefined};
    const refused = bytesReply(429, Buffer.from('Retry later\n'), {
      ...headers,
      'content-type': 'text/plain',
      'retry-after': String(Math.ceil((resetMs - now) / 1000)),
    });
    return {headers, refused};
  }
}
