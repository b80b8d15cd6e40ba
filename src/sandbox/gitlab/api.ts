import type {Exchange} from '../exchange.ts';
import {jsonReply, type Reply} from '../reply.ts';
import {readBody} from './api-call.ts';
import {ApiRefusal, notFound, unauthorized} from './api-refusal.ts';
import {type ApiAccess, findRoute} from './api-routes.ts';
import type {Instance} from './instance.ts';
import {RateLimit, type RateLimitOptions} from './rate-limit.ts';
import type {Person} from './rights.ts';
import {bearerOf, tokenOf} from './sign-in.ts';

/** GitLab's REST API, `/api/v4`: who may call it, how often, and what is said to those who may not. */
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
   * By `PRIVATE-TOKEN`, `JOB-TOKEN` or as a bearer (GitLab: lib/gitlab/auth/auth_finders.rb).
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
 * What a token's scopes open (GitLab: lib/api/api_guard.rb). The token of a job opens its own project's registry alone.
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
  const wanted = reads ? ['api', 'read_api'] : ['api'];
  if (access === 'any' || token?.scopes.some((scope) => wanted.includes(scope))) return;
  throw new ApiRefusal(403, {
    error: 'insufficient_scope',
    error_description: 'The request requires higher privileges than provided by the access token.',
    scope: wanted.join(' '),
  });
}
