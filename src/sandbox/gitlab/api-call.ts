import {z} from '../../model/schema.ts';
import {parseJson} from '../../model/json.ts';
import type {Exchange} from '../exchange.ts';
import type {Reply} from '../reply.ts';
import {ApiRefusal, notFound} from './api-refusal.ts';
import type {Instance} from './instance.ts';
import {levelInGroup, maySee, type Person} from './rights.ts';
import type {WorldGroup, WorldProject, WorldRepository} from './world.ts';

/** An API call on its way. */
export interface ApiCall extends Instance {
  readonly exchange: Exchange;
  readonly person: Person;
  /** What the path names, decoded: `:id` is `params.id`. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** What was sent as JSON or as a form, `a[b]=c` as an object in it. */
  readonly body: unknown;
}

export type ApiHandler = (call: ApiCall) => Reply | Promise<Reply>;

/** Request bodies are small; bytes. */
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

/** Numbers and truth come as strings where a form is sent. */
export const numberField = z.coerce.number().int();
export const flagField = z.union([z.boolean(), z.stringbool()]);

/**
 * The project that the path names, by id or full path. A path that it had before leads to it by a redirect, for
 * reading alone (GitLab: lib/api/helpers.rb, `find_project!`; doc/api/rest/_index.md, "Redirects").
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

/** @throws ApiRefusal 404 */
export function groupOf({world, person, params}: ApiCall): WorldGroup {
  const name = params['id'] ?? '';
  const group = /^\d+$/.test(name) ? world.groups.get(Number(name)) : world.groupAt(name);
  const isOpen = group && group.visibility !== 'private';
  if (group && (isOpen || levelInGroup(world, person.user, group) > 0)) return group;
  throw notFound('Group');
}

/** The container repository that the path names, of that project. @throws ApiRefusal 404 */
export function repositoryOf(
  {world, params}: ApiCall,
  project: WorldProject | undefined,
): WorldRepository {
  const repository = world.repositories.get(Number(params['repository']));
  if (repository && (!project || repository.projectId === project.id)) return repository;
  throw notFound();
}
