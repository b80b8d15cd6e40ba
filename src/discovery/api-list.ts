import type {HttpResponse} from '../http/response.ts';
import type {HttpClient} from '../http/client.ts';
import {TransshipError} from '../model/error.ts';
import {DOCUMENT_LIMITS, type JsonError, parseJson} from '../model/json.ts';
import type {Call} from '../model/port.ts';
import {z} from '../model/schema.ts';
import type {Credentials} from '../registry/credentials/credentials.ts';
import {NAME_LIMITS} from '../registry/paging.ts';
import {registryRefusal} from '../registry/refusal.ts';

/** Options for listing repositories with a product's API. */
export interface ListerOptions {
  /** `host[:port]` of references. */
  readonly host: string;
  /** The base URL of the registry's own API. */
  readonly baseUrl: URL;
  readonly http: HttpClient;
  /** The user's login for `host`; undefined: none. */
  readonly credentials: () => Promise<Credentials | undefined>;
  /** Called with each access token, to redact it in messages. */
  readonly learnToken: (token: string) => void;
}

/** A product's API that lists the repositories of its registry. */
export interface ProductApi {
  /** For messages: `Harbor at host`. */
  readonly name: string;
  /** Its URL. Requests are never sent to another origin, whatever the responses name. */
  readonly origin: URL;
  readonly http: HttpClient;
  /** The `authorization` header; undefined: requests are anonymous. */
  readonly authorization: (call: Call) => Promise<string | undefined>;
  readonly headers?: Readonly<Record<string, string>>;
  /** The hint for credentials with which it does not list repositories, as a clause. */
  readonly hint: string;
}

/** A list of an API, over its pages. */
export interface ApiList<Page> {
  /** Path and query of the first page. */
  readonly first: string;
  readonly page: z.ZodType<Page>;
  /** The URL of the next page, perhaps relative to this one; undefined: this is the last. */
  readonly next: (page: Page, response: HttpResponse) => string | undefined;
}

/** A time in a list, ISO 8601; undefined: absent or invalid, which is no reason not to list the repository. */
export const listedTime = z
  .string()
  .regex(/^[\d:.TZ+-]{10,40}$/)
  .optional()
  .catch(undefined);

/** What is left to read of a list, or of several together. */
export interface PageBudget {
  pages: number;
  bytes: number;
}

/** Maximum size of a page, in bytes: pages of 100 entries are below 1 MiB. */
const PAGE_LIMITS = DOCUMENT_LIMITS;
/** Enough pages for `NAME_LIMITS` at 50 entries a page. */
const LIST_BUDGET: PageBudget = {pages: 4000, bytes: NAME_LIMITS.bytes};

/** The hint if a source does not list its repositories, as a clause. */
const NAME_THEM =
  'write the names of the repositories to a file, one per line, and pass it with --repositories FILE, or in a migration file with repositories: {file: FILE} (- reads stdin)';

/**
 * Reads a list page by page. Only path and query of the URL of the next page are used: behind a proxy, a product may
 * name another host, which must not receive the credentials.
 * @param budget shared by lists that belong together. Default: that of one list
 * @throws TransshipError REPOSITORIES_NOT_LISTED, RESPONSE_INVALID, and the server's failures
 */
export async function* readPages<Page>(
  api: ProductApi,
  list: ApiList<Page>,
  call: Call,
  budget: PageBudget = {...LIST_BUDGET},
): AsyncGenerator<Page, void, undefined> {
  const visited = new Set<string>();
  let url = new URL(list.first, api.origin);
  for (let pages = 1; ; pages++) {
    visited.add(url.pathname + url.search);
    const response = await send(api, url, call);
    if (response.status !== 200) throw await notListed(api, response);
    const page = await parsePage(api, response, list.page);
    budget.pages--;
    budget.bytes -= (await response.read(PAGE_LIMITS.size)).bytes.byteLength;
    if (budget.bytes < 0) throw invalid(api, response, `has no end: read ${pages} pages`);
    yield page;
    const next = list.next(page, response);
    if (next === undefined) return;
    if (budget.pages <= 0) throw invalid(api, response, `has no end: read ${pages} pages`);
    const named = URL.parse(next, url.href);
    if (named === null) throw invalid(api, response, 'names a next page that is not a URL');
    url = new URL(named.pathname + named.search, api.origin);
    if (visited.has(url.pathname + url.search))
      throw invalid(api, response, 'forms a loop: its next page was read before');
  }
}

/** The error for a source that does not list its repositories, at least not with this login. */
export function repositoriesNotListed(
  who: string,
  why: string,
  hint: string,
  cause?: TransshipError,
): TransshipError {
  const message = `${who} does not list its repositories: ${why}`;
  return new TransshipError('REPOSITORIES_NOT_LISTED', message, {
    side: 'source',
    hint: `${hint}; or ${NAME_THEM}`,
    status: cause?.status,
    cause,
  });
}

/**
 * The first segment of a prefix, for products that list the repositories of one owner only.
 * @param kind for messages: `namespace`
 * @throws TransshipError REPOSITORIES_NOT_LISTED for a host without a path
 */
export function ownerIn(prefix: string, kind: string, who: string, hint: string): string {
  const [owner = ''] = prefix.split('/');
  if (owner !== '') return owner;
  throw repositoriesNotListed(who, `it lists those of one ${kind}`, hint);
}

/** Statuses of a server that does not list repositories with this login; all others are failures. */
const NOT_LISTED = new Set([400, 401, 403, 404, 405, 501]);

/** Whether the failure means that this login cannot list repositories. */
export function saysNotListed({status}: TransshipError): boolean {
  return status !== undefined && NOT_LISTED.has(status);
}

async function send({http, authorization, headers}: ProductApi, url: URL, call: Call) {
  return await http.send({
    method: 'GET',
    url,
    side: 'source',
    headers: {accept: 'application/json', ...headers},
    authorization: await authorization(call),
    readLimit: PAGE_LIMITS.size,
    ...call,
  });
}

async function notListed(
  {name, hint}: ProductApi,
  response: HttpResponse,
): Promise<TransshipError> {
  const why = await registryRefusal(response, {notFound: 'REPOSITORY_NOT_FOUND'});
  if (response.header('x-ratelimit-remaining') === '0') return rateLimited(why);
  return saysNotListed(why) ? repositoriesNotListed(name, why.message, hint, why) : why;
}

/** GitHub answers 403 at the end of a rate limit (docs.github.com/rest, "Exceeding the rate limit"). */
function rateLimited(cause: TransshipError): TransshipError {
  const {message, side, status} = cause;
  return new TransshipError('RATE_LIMITED', message, {
    side,
    hint: 'the rate limit is exhausted; log in for a higher one, or run the command again later',
    retry: true,
    status,
    cause,
  });
}

async function parsePage<Page>(api: ProductApi, response: HttpResponse, schema: z.ZodType<Page>) {
  const {bytes, complete} = await response.read(PAGE_LIMITS.size);
  if (!complete) throw invalid(api, response, `has a page larger than ${PAGE_LIMITS.size} bytes`);
  let json: unknown;
  try {
    json = parseJson(bytes, PAGE_LIMITS);
  } catch (cause) {
    throw invalid(api, response, (cause as JsonError).message, cause);
  }
  const page = schema.safeParse(json);
  if (page.success) return page.data;
  const [issue] = page.error.issues;
  const where = issue?.path.length ? ` at ${issue.path.join('.')}` : '';
  throw invalid(api, response, `is invalid${where}`, page.error);
}

function invalid(
  {name}: ProductApi,
  {request, status}: HttpResponse,
  why: string,
  cause?: unknown,
): TransshipError {
  return new TransshipError(
    'RESPONSE_INVALID',
    `${name}: the list at ${request.url.host}${request.url.pathname} ${why}`,
    {
      side: 'source',
      hint: `check that this is the right --source-kind; or ${NAME_THEM}`,
      status,
      cause,
    },
  );
}
