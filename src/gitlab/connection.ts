import type {HttpResponse} from '../http/response.ts';
import type {HttpClient} from '../http/client.ts';
import type {Environment} from '../http/proxy.ts';
import {nextLink} from '../http/header-fields.ts';
import {describeRequest, type Method} from '../http/request.ts';
import {hostnameOf, isLoopback} from '../http/origin.ts';
import {isWebPage} from '../http/web-page.ts';
import {TransshipError} from '../model/error.ts';
import {DOCUMENT_LIMITS, type JsonError, parseJson, readJson} from '../model/json.ts';
import type {Call} from '../model/port.ts';
import {list, z} from '../model/schema.ts';
import {gitlabRefusal, type GitLabRefusalContext} from './refusal.ts';

/**
 * Reads the address of a GitLab instance: a host alone means https, a path is kept (relative URL installations), and
 * the `/api/v4` that `CI_API_V4_URL` ends in is dropped. Loopback hosts may be spoken to without TLS.
 * @throws TransshipError USAGE
 */
export function parseGitLabUrl(text: string): URL {
  const url = URL.parse(/^https?:\/\//i.test(text) ? text : `https://${text}`);
  if (!url || url.hostname === '') {
    throw usage('the GitLab address is not a URL', 'write https://gitlab.example.com');
  }
  if (url.username !== '' || url.password !== '') {
    throw usage(
      `the GitLab address at ${url.host} contains a user name or a password`,
      'remove them and provide a token',
    );
  }
  if (url.protocol === 'http:' && !isLoopback(hostnameOf(url.host))) {
    throw usage(`the token would be sent to ${url.origin} without TLS`, 'use https:// instead');
  }
  url.search = '';
  url.hash = '';
  url.pathname = url.pathname.replace(/\/+$/, '').replace(/\/api\/v4$/, '');
  return url;
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}

/**
 * The address of an instance, `https://host[:port][/path]`: what a token belongs to. At another path of the host may be
 * a program of somebody else.
 * @param url as `parseGitLabUrl` gives it
 */
export function addressOf({href}: URL): string {
  return href.replace(/\/$/, '');
}

/** What GitLab is asked with: a personal, project or group access token, or the token of a CI job. */
export interface GitLabToken {
  readonly kind: 'access-token' | 'job-token';
  readonly value: string;
}

/**
 * The variable that may hold a token for one instance and no other, `TRANSSHIP_GITLAB_TOKEN_GITLAB_EXAMPLE_COM`. As in
 * terraform's TF_TOKEN_*, a hyphen is two underscores, and an underscore three, so that no two hosts have
 * the same one.
 */
export function hostTokenVariable({host}: URL): string {
  const name = host
    .toUpperCase()
    .replaceAll('_', '___')
    .replaceAll('-', '__')
    .replace(/[^A-Z0-9_]/g, '_');
  return `TRANSSHIP_GITLAB_TOKEN_${name}`;
}

/** Whether a variable holds a token for this instance. It names a host, and so no instance at a path of that host. */
export function hasOwnToken(url: URL, env: Environment): boolean {
  return url.pathname === '/' && Boolean(env[hostTokenVariable(url)]);
}

/** The header that carries the token (GitLab: doc/api/rest/authentication.md, doc/ci/jobs/ci_job_token.md). */
function tokenHeaders({kind, value}: GitLabToken): Readonly<Record<string, string>> {
  return kind === 'job-token' ? {'job-token': value} : {'private-token': value};
}

/**
 * A job's token opens next to nothing of the API, and moves no project (GitLab: doc/ci/jobs/ci_job_token.md).
 * @throws TransshipError TOKEN_SCOPE_MISSING
 */
export function throwIfJobToken(kind: GitLabToken['kind']): void {
  if (kind !== 'job-token') return;
  throw new TransshipError(
    'TOKEN_SCOPE_MISSING',
    'the only GitLab token is $CI_JOB_TOKEN, and a CI job token cannot move a project',
    {
      side: 'gitlab',
      hint: 'create an access token with the api scope, and pass it to the job as GITLAB_TOKEN (a masked CI/CD variable)',
    },
  );
}

/** The most of one answer that is read, in bytes; a page of 100 is far below it. */
const ANSWER_LIMIT = 4 * 1024 * 1024;
const ANSWER_LIMITS = {...DOCUMENT_LIMITS, size: ANSWER_LIMIT};
/** The most that GitLab gives on a page (GitLab: doc/api/rest/_index.md, "Pagination"). */
const PAGE_SIZE = 100;
/**
 * Bounds of one list, for memory and for servers that never end: entries, as many as are read of a list of a registry;
 * bytes of its answers; and pages, which a filter may leave empty.
 */
const LIST_LIMITS = {items: 200_000, bytes: 128 * 1024 * 1024, pages: 4000};

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** A call of GitLab's REST API. */
export interface ApiRequest extends Call {
  /** Default: GET. */
  readonly method?: Method;
  /** Below `/api/v4/`; see `apiPath`. */
  readonly path: string;
  readonly query?: Query;
  /** Sent as JSON. */
  readonly body?: object;
  /** How long GitLab may take to answer, in ms. */
  readonly headersTimeoutMs?: number;
  /** What a refusal means here. */
  readonly refused?: GitLabRefusalContext;
}

/** Writes the path of an API call; what is put into it is percent-encoded, so `group/project` is one part. */
export function apiPath(
  parts: TemplateStringsArray,
  ...values: readonly (string | number)[]
): string {
  return String.raw(
    {raw: parts},
    ...values.map((value) => encodeURIComponent(String(value).toWellFormed())),
  );
}

/** Speaks with one GitLab instance: its address, its token, its pages and its refusals. */
export class Connection {
  readonly url: URL;
  readonly #http: HttpClient;
  readonly #token: GitLabToken;

  /** @param url as `parseGitLabUrl` gives it */
  constructor(url: URL, token: GitLabToken, http: HttpClient) {
    this.url = url;
    this.#http = http;
    this.#token = token;
  }

  /**
   * @throws TransshipError what `gitlabRefusal` makes of an answer that is no success, and what `HttpClient.send`
   *   throws
   */
  async send(request: ApiRequest): Promise<HttpResponse> {
    const answer = await this.#sendOnce(request);
    if (isSuccess(answer)) return answer;
    throw await gitlabRefusal(answer, request.refused);
  }

  async read<T>(request: ApiRequest, schema: z.ZodType<T>): Promise<T> {
    return parse(await this.send(request), schema);
  }

  /** As `read`; undefined: there is no such thing (404), or none that this token may see. */
  async find<T>(request: ApiRequest, schema: z.ZodType<T>): Promise<T | undefined> {
    const answer = await this.#sendOnce(request);
    if (isSuccess(answer)) return parse(answer, schema);
    const error = await gitlabRefusal(answer, request.refused);
    if (error.status === 404 && error.code !== 'NOT_GITLAB') return undefined;
    throw error;
  }

  /** `absent`: there is no such thing (404), or not any more. What is not GitLab's answer deletes nothing. */
  async remove(request: ApiRequest & {readonly method: 'DELETE'}): Promise<'accepted' | 'absent'> {
    const answer = await this.#sendOnce(request);
    if (isSuccess(answer) && (await isEmptyOrJson(answer))) return 'accepted';
    const error = await gitlabRefusal(answer, request.refused);
    if (error.status === 404 && error.code !== 'NOT_GITLAB') return 'absent';
    throw error;
  }

  /**
   * A whole list, page by page. Of the link to the next page only the query counts: behind a proxy GitLab may know
   * itself by another name, to which the token must not go.
   */
  async list<T>(request: ApiRequest, item: z.ZodType<T>): Promise<readonly T[]> {
    const items: T[] = [];
    const visited = new Set<string>();
    const ofPage = list(item);
    let bytes = 0;
    let query = queryOf({per_page: PAGE_SIZE, ...request.query});
    for (let pages = 1; ; pages++) {
      visited.add(query.toString());
      const answer = await this.send({...request, query: Object.fromEntries(query)});
      for (const each of await parse(answer, ofPage)) items.push(each);
      bytes += (await answer.read(ANSWER_LIMIT)).bytes.byteLength;
      const isBeyond = items.length > LIST_LIMITS.items || bytes > LIST_LIMITS.bytes;
      const next = nextQuery(answer, query);
      if (next === undefined && !isBeyond) return items;
      if (isBeyond || pages === LIST_LIMITS.pages) throw endless(answer, items.length, pages);
      if (next === undefined || visited.has(next.toString()))
        throw invalid(answer, 'is a list with a pagination loop');
      query = next;
    }
  }

  async #sendOnce(request: ApiRequest): Promise<HttpResponse> {
    const {method = 'GET', path, query, body, signal, headersTimeoutMs} = request;
    const url = new URL(`${addressOf(this.url)}/api/v4/${path}`);
    url.search = queryOf(query ?? {}).toString();
    const bytes = body && Buffer.from(JSON.stringify(body));
    return this.#http.send({
      method,
      url,
      side: 'gitlab',
      signal,
      headers: {
        accept: 'application/json',
        ...(bytes ? {'content-type': 'application/json'} : {}),
      },
      originHeaders: tokenHeaders(this.#token),
      readLimit: ANSWER_LIMIT,
      ...(bytes ? {body: {kind: 'bytes', bytes}} : {}),
      ...(headersTimeoutMs === undefined ? {} : {headersTimeoutMs}),
      // A 502 may hide a change that was done.
      changes: method !== 'GET' && method !== 'HEAD' && method !== 'DELETE',
    });
  }
}

/** A page with status 200 is that of a login form or a proxy, which did nothing. */
function isSuccess(answer: HttpResponse): boolean {
  return answer.status >= 200 && answer.status < 300 && !isWebPage(answer);
}

/** All that GitLab's API says to a deletion; health checks of load balancers answer with plain text. */
async function isEmptyOrJson(answer: HttpResponse): Promise<boolean> {
  const {bytes} = await answer.read(ANSWER_LIMIT);
  return bytes.byteLength === 0 || readJson(bytes, z.unknown()) !== undefined;
}

async function parse<T>(answer: HttpResponse, schema: z.ZodType<T>): Promise<T> {
  const {bytes, complete} = await answer.read(ANSWER_LIMIT);
  if (!complete) throw invalid(answer, `is larger than ${ANSWER_LIMIT} bytes`);
  let json: unknown;
  try {
    json = parseJson(bytes, ANSWER_LIMITS);
  } catch (cause) {
    throw invalid(answer, (cause as JsonError).message, cause);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(answer, `has a wrong ${issue?.path.join('.') || 'form'}`, parsed.error);
}

function nextQuery(answer: HttpResponse, query: URLSearchParams): URLSearchParams | undefined {
  const link = nextLink(answer.header('link'));
  if (link !== undefined) {
    const url = URL.parse(link, answer.request.url.href);
    if (!url) throw invalid(answer, 'has a link to a next page that is not a URL');
    return url.searchParams;
  }
  // Some proxies drop `Link`.
  const page = answer.header('x-next-page');
  if (page === undefined || !/^\d+$/.test(page)) return undefined;
  const next = new URLSearchParams(query);
  next.set('page', page);
  return next;
}

function queryOf(query: Query): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  return parameters;
}

function invalid(answer: HttpResponse, why: string, cause?: unknown): TransshipError {
  const {request, status} = answer;
  return new TransshipError(
    'RESPONSE_INVALID',
    `the answer to ${describeRequest(request)} ${why}`,
    {
      side: 'gitlab',
      hint: 'check the address in --gitlab, and that it is a supported version of GitLab',
      status,
      cause,
    },
  );
}

function endless({request}: HttpResponse, entries: number, pages: number): TransshipError {
  return new TransshipError(
    'RESPONSE_INVALID',
    `the list at ${describeRequest(request)} does not end: read ${entries} entries on ${pages} pages`,
    {
      side: 'gitlab',
      hint: 'GitLab or a proxy in front of it keeps sending new pages, or the list is longer than supported; ask its administrator',
    },
  );
}
