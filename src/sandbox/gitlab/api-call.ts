import {parseJson} from '../../model/json.ts';
import {z} from '../../model/schema.ts';
import {type Exchange, jsonReply, type Reply} from '../exchange.ts';
import type {Instance} from './instance.ts';
import {ACCESS_LEVEL, levelInGroup, levelInProject, maySee, type Person} from './rights.ts';
import type {WorldGroup, WorldProject, WorldRepository} from './world.ts';

/** An authenticated API call. */
export interface ApiCall extends Instance {
  readonly exchange: Exchange;
  readonly person: Person;
  /** The decoded parameters of the path: `:id` is `params.id`. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The body, sent as JSON or as a form; `a[b]=c` becomes a nested object. */
  readonly body: unknown;
}

export type ApiHandler = (call: ApiCall) => Reply | Promise<Reply>;

/** The largest request body, in bytes. */
const BODY_LIMIT = 1024 * 1024;

/** @throws ApiRefusal 400 */
export async function readBody({body, headers}: Exchange): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > BODY_LIMIT) throw new ApiRefusal(413, {error: 'Request Entity Too Large'});
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  if (text === '') return {};
  if (headers['content-type']?.includes('x-www-form-urlencoded')) return formOf(text);
  try {
    return parseJson(text);
  } catch {
    throw new ApiRefusal(400, {error: 'The request body is not valid JSON'});
  }
}

function formOf(text: string): Record<string, unknown> {
  const form: Record<string, unknown> = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const [, outer, inner] = /^(\w+)\[(\w+)\]$/.exec(name) ?? [];
    if (outer === undefined || inner === undefined) form[name] = value;
    else form[outer] = {...(form[outer] as object | undefined), [inner]: value};
  }
  return form;
}

/** Checks the parameters of a call (GitLab: Grape's `params` blocks). @throws ApiRefusal 400 */
export function bodyOf<T>({body}: ApiCall, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = issue?.path.join('.') ?? '';
  throw new ApiRefusal(400, {
    error: `${name} ${issue?.input === undefined ? 'is missing' : 'is invalid'}`,
  });
}

/** Forms send numbers and booleans as strings. */
export const numberField = z.coerce.number().int();
export const flagField = z.union([z.boolean(), z.stringbool()]);

/**
 * The project in the path, by id or full path. A former path is redirected, for GET only (GitLab: lib/api/helpers.rb,
 * `find_project!`; doc/api/rest/_index.md, "Redirects").
 * @throws ApiRefusal 301, 404, 405
 */
export function projectOf({world, person, params, exchange}: ApiCall): WorldProject {
  const name = params['id'] ?? '';
  const byPath = /^\d+$/.test(name) ? undefined : world.projectAt(name);
  const moved = byPath ? undefined : world.redirects.get(name.toLowerCase());
  const project = byPath ?? world.projects.get(moved ?? Number(name));
  if (!project || !maySee(world, person.user, project)) throw notFound('Project');
  if (moved === undefined) return project;
  if (exchange.method !== 'GET') {
    const why = 'Non GET methods are not allowed for moved projects';
    throw new ApiRefusal(405, {message: `405 Method Not Allowed - ${why}`});
  }
  const path = exchange.path.replace(/^\/api\/v4\/projects\/[^/]+/, `/api/v4/projects/${moved}`);
  const query = exchange.query.size > 0 ? `?${exchange.query.toString()}` : '';
  const location = `${exchange.origin}${path}${query}`;
  throw new ApiRefusal(301, {message: 'This resource has been moved permanently'}, {location});
}

/** The project in the path, for maintainers. @throws ApiRefusal 301, 403, 404, 405 */
export function maintainedProjectOf(call: ApiCall): WorldProject {
  const project = projectOf(call);
  requireLevel(call, project, ACCESS_LEVEL.maintainer);
  return project;
}

/** @throws ApiRefusal 403 */
export function requireLevel({world, person}: ApiCall, project: WorldProject, level: number): void {
  if (levelInProject(world, person.user, project) < level) throw forbidden();
}

/** @throws ApiRefusal 404 */
export function groupOf({world, person, params}: ApiCall): WorldGroup {
  const name = params['id'] ?? '';
  const group = /^\d+$/.test(name) ? world.groups.get(Number(name)) : world.groupAt(name);
  const isOpen = group && group.visibility !== 'private';
  if (group && (isOpen || levelInGroup(world, person.user, group) > 0)) return group;
  throw notFound('Group');
}

/** The container repository in the path. @param project undefined: any @throws ApiRefusal 404 */
export function repositoryOf(
  {world, params}: ApiCall,
  project: WorldProject | undefined,
): WorldRepository {
  const repository = world.repositories.get(Number(params['repository']));
  if (repository && (!project || repository.projectId === project.id)) return repository;
  throw notFound();
}

const DEFAULT_SIZE = 20;
const SIZE_LIMIT = 100;

/** A numbered page of a list, with the headers for the others (GitLab: doc/api/rest/_index.md, "Pagination"). */
export function pageReply({exchange, query}: ApiCall, items: readonly unknown[]): Reply {
  const size = pageSize(query);
  const page = Number(query.get('page') ?? 1);
  if (!Number.isInteger(page) || page < 1) throw new ApiRefusal(400, {error: 'page is invalid'});
  const pages = Math.max(1, Math.ceil(items.length / size));
  const link = (rel: string, to: number) => {
    const target = new URLSearchParams(query);
    target.set('page', String(to));
    target.set('per_page', String(size));
    return `<${exchange.origin}${exchange.path}?${target.toString()}>; rel="${rel}"`;
  };
  const links = [
    ...(page > 1 ? [link('prev', page - 1)] : []),
    ...(page < pages ? [link('next', page + 1)] : []),
    link('first', 1),
    link('last', pages),
  ];
  return jsonReply(200, items.slice((page - 1) * size, page * size), {
    link: links.join(', '),
    'x-page': String(page),
    'x-per-page': String(size),
    'x-next-page': page < pages ? String(page + 1) : '',
    'x-prev-page': page > 1 ? String(page - 1) : '',
    'x-total': String(items.length),
    'x-total-pages': String(pages),
  });
}

/** A page of a list of names after the last one of the previous page: without numbers and totals, with one link. */
export function keysetReply(
  {exchange, query}: ApiCall,
  items: readonly {readonly name: string}[],
): Reply {
  const size = pageSize(query);
  const last = query.get('last') ?? '';
  const rest = items.filter(({name}) => name > last);
  const page = rest.slice(0, size);
  const next = new URLSearchParams(query);
  next.set('last', page.at(-1)?.name ?? '');
  const link = `<${exchange.origin}${exchange.path}?${next.toString()}>; rel="next"`;
  return jsonReply(200, page, page.length < rest.length ? {link} : {});
}

function pageSize(query: URLSearchParams): number {
  const size = Number(query.get('per_page') ?? DEFAULT_SIZE);
  if (Number.isInteger(size) && size > 0) return Math.min(size, SIZE_LIMIT);
  throw new ApiRefusal(400, {error: 'per_page is invalid'});
}

/** Thrown by API handlers; `Api.answer` sends it as the response. */
export class ApiRefusal extends Error {
  override readonly name = 'ApiRefusal';
  readonly reply: Reply;

  /** @param body in GitLab's form: a `message`, which is a string or an object of lists, or an `error` */
  constructor(status: number, body: object, headers: Reply['headers'] = {}) {
    super(JSON.stringify(body));
    this.reply = jsonReply(status, body, headers);
  }
}

/** `404 Project Not Found` and the like (GitLab: lib/api/helpers.rb, `not_found!`). */
export function notFound(what?: string): ApiRefusal {
  return new ApiRefusal(404, {
    message: what === undefined ? '404 Not found' : `404 ${what} Not Found`,
  });
}

export function forbidden(why?: string): ApiRefusal {
  return new ApiRefusal(403, {
    message: why === undefined ? '403 Forbidden' : `403 Forbidden - ${why}`,
  });
}

export function unauthorized(): ApiRefusal {
  return new ApiRefusal(401, {message: '401 Unauthorized'});
}

/** A refusal with its own message. */
export function badRequest(message: unknown): ApiRefusal {
  return new ApiRefusal(400, {message});
}
