import type {HttpResponse} from '../http/response.ts';
import {nextLink} from '../http/header-fields.ts';
import {TransshipError} from '../model/error.ts';
import {type JsonError, type JsonLimits, parseJson} from '../model/json.ts';
import type {RegistryConnection, RegistryRequest} from './connection.ts';
import {type ErrorBody, readErrors} from './error-body.ts';

/** Names requested per page; a registry may return fewer, or all. */
export const PAGE_SIZE = 1000;

/** Limits of one list. */
export interface ListLimits {
  readonly items: number;
  /** Bytes of all responses. */
  readonly bytes: number;
}

/** Far above any real list of names: the largest reported lists have about 100,000 tags and 20 MB. */
export const NAME_LIMITS: ListLimits = {items: 200_000, bytes: 32 * 1024 * 1024};

/** Enough for `NAME_LIMITS` at 50 names per page, the smallest known page size. */
const PAGES_LIMIT = 4000;
/** Maximum number of consecutive pages without new items. */
const IDLE_PAGES_LIMIT = 1000;

/** Limits of one page: registries that do not paginate send everything at once. */
const PAGE_LIMITS: JsonLimits = {
  size: 16 * 1024 * 1024,
  depth: 100,
  values: NAME_LIMITS.items + 1000,
};

/** A list of a registry, over all of its pages, and how to read it. */
export interface List<Item> {
  /** The request for the first page; all pages use the same method and headers. */
  readonly first: Omit<RegistryRequest, 'target'> & {readonly target: string};
  /**
   * Whether it is a list of names, which takes `n` and `last` (distribution-spec, "Listing Tags"): if a registry does
   * not link the next page, the names after the last one are requested.
   */
  readonly isOfNames: boolean;
  readonly limits: ListLimits;
  /** The items of a page; undefined: the registry has no such list. */
  readonly read: (response: HttpResponse) => Promise<readonly Item[] | undefined>;
  /**
   * The key of an item. An item that is listed twice, which happens if the list changes while it is read, is returned
   * once.
   */
  readonly keyOf: (item: Item) => string;
}

/** Where a list continues: at the page that `Link` names, or else after the last name. */
type Next =
  | {readonly by: 'link'; readonly target: URL}
  | {readonly by: 'name'; readonly target: string; readonly why: TransshipError | undefined};

/**
 * Reads a list page by page, by following `Link` with `rel="next"`. An incomplete list is an error: see `nextOf`.
 * @returns the items by their keys, in the registry's order; undefined: there is no such list
 * @throws TransshipError RESPONSE_INVALID, also for a list beyond its limits; what `read` throws
 */
export async function readList<Item>(
  connection: RegistryConnection,
  list: List<Item>,
): Promise<ReadonlyMap<string, Item> | undefined> {
  const found = new Map<string, Item>();
  const visited = new Set<string>();
  let bytes = 0;
  let idle = 0;
  let next: Next | undefined;
  let query = list.isOfNames ? `n=${PAGE_SIZE}` : '';
  for (let page = 1; ; page++) {
    const target = next?.target ?? targetOf(list, query);
    const response = await connection.send({...list.first, target, readLimit: PAGE_LIMITS.size});
    // distribution refuses more than its `maxentries`, which an administrator may set below the usual 1000
    // (registry/handlers/catalog.go, PAGINATION_NUMBER_INVALID). Without `n`, it chooses the size itself.
    if (next === undefined && query !== '' && response.status === 400) {
      await response.discard();
      query = '';
      continue;
    }
    if (next?.by === 'name' && NO_LAST.has(response.status)) {
      await response.discard();
      if (next.why) throw next.why;
      return found;
    }
    const items = await list.read(response);
    if (items === undefined && next === undefined) return undefined;
    if (items === undefined) throw invalidList(response, 'names a next page that does not exist');
    const before = found.size;
    for (const item of items) if (!found.has(list.keyOf(item))) found.set(list.keyOf(item), item);
    const isNew = found.size > before;
    bytes += (await response.read(PAGE_LIMITS.size)).bytes.byteLength;
    idle = isNew ? 0 : idle + 1;
    const isBeyond = found.size > list.limits.items || bytes > list.limits.bytes;
    if (isBeyond || page === PAGES_LIMIT || idle === IDLE_PAGES_LIMIT)
      throw endless(response, found.size, page);
    if (next?.by === 'name') {
      if (!isNew && next.why) throw next.why;
      if (!isNew) return found;
      tellUnpaged(connection, response, next);
    }
    visited.add(pathOf(response.request.url));
    next = nextOf(list, query, items, isNew, response, visited, next?.by === 'link');
    if (next === undefined) return found;
  }
}

/** Responses of registries that do not support `last`. */
const NO_LAST = new Set([400, 404, 405, 501]);

/**
 * Where the list continues; undefined: it ends here. If a link cannot be followed, or if a page of names may be one of
 * several, the list continues after its last name as long as that returns new names.
 * @param query the query of every page by name, besides `last`
 * @param isLinked a link led to this page, so the absence of a further link means that it is the last one
 */
function nextOf<Item>(
  list: List<Item>,
  query: string,
  items: readonly Item[],
  isNew: boolean,
  response: HttpResponse,
  visited: ReadonlySet<string>,
  isLinked: boolean,
): Next | undefined {
  const link = nextLink(response.header('link'));
  const linked = link === undefined ? undefined : nextPage(link, response, visited);
  if (linked instanceof URL) return {by: 'link', target: linked};
  const last = isNew && list.isOfNames ? items.map(list.keyOf).findLast(Boolean) : undefined;
  if (last === undefined) {
    if (linked) throw linked;
    return undefined;
  }
  if (!linked && (isLinked || !isFull(items.length))) return undefined;
  const target = targetOf(list, query, `last=${encodeURIComponent(last.toWellFormed())}`);
  return {by: 'name', target, why: linked};
}

/**
 * Whether a page of this size may not be the last although the registry names no next page: it has the requested size,
 * or a round number (decimal or binary), which may be the registry's maximum.
 */
function isFull(count: number): boolean {
  const isPowerOf2 = count >= 16 && Number.isInteger(Math.log2(count));
  return count > 0 && (count % 50 === 0 || isPowerOf2);
}

function targetOf({first}: Pick<List<unknown>, 'first'>, ...query: readonly string[]): string {
  const parameters = query.filter(Boolean).join('&');
  return parameters === '' ? first.target : `${first.target}?${parameters}`;
}

/**
 * Resolves a link. Registries behind a proxy may name internal hosts, so the next page is requested from the same host.
 * @returns an error if the link is not a URL, or leads to a page that was read before
 */
function nextPage(
  link: string,
  response: HttpResponse,
  visited: ReadonlySet<string>,
): URL | TransshipError {
  const {url} = response.request;
  const next = URL.parse(link, url.href);
  if (!next) return invalidList(response, 'names a next page that is not a URL');
  const path = pathOf(next);
  if (!visited.has(path)) return new URL(path, url.origin);
  return invalidList(response, 'forms a loop: its next page was read before');
}

function pathOf({pathname, search}: URL): string {
  return pathname + search;
}

function tellUnpaged(
  connection: RegistryConnection,
  response: HttpResponse,
  {why}: {why?: unknown},
): void {
  const fault = why ? 'has a Link header without a next page' : 'has no Link header';
  connection.featureNotUsed(
    'pagination',
    `${nameOf(response)} ${fault}`,
    'the list is continued with "last"',
  );
}

/**
 * @throws TransshipError RESPONSE_INVALID; NOT_A_REGISTRY for a web page: a web application in front of the registry,
 *   or in its place, responds
 */
export async function readPage(response: HttpResponse): Promise<unknown> {
  const {bytes, complete} = await response.read(PAGE_LIMITS.size);
  if (!complete) throw invalidList(response, `has a page larger than ${PAGE_LIMITS.size} bytes`);
  try {
    return parseJson(bytes, PAGE_LIMITS);
  } catch (cause) {
    const page = await readErrors(response);
    if (page.isHtml) throw notAList(response, page);
    throw invalidList(response, (cause as JsonError).message, cause);
  }
}

/** The error for an invalid list. */
export function invalidList(response: HttpResponse, why: string, cause?: unknown): TransshipError {
  const {request, status} = response;
  return new TransshipError('RESPONSE_INVALID', `${nameOf(response)} ${why}`, {
    side: request.side,
    hint: 'the registry or a proxy in front of it sends an invalid response; ask its administrator',
    status,
    cause,
  });
}

function notAList(response: HttpResponse, {words}: ErrorBody): TransshipError {
  const {request, status} = response;
  return new TransshipError('NOT_A_REGISTRY', `${nameOf(response)} is a web page ("${words}")`, {
    side: request.side,
    hint: 'check host and port; a login page or a proxy may answer in place of the registry',
    status,
  });
}

function nameOf({request}: HttpResponse): string {
  return `the list at ${request.url.host}${request.url.pathname}`;
}

function endless(response: HttpResponse, entries: number, pages: number): TransshipError {
  return new TransshipError(
    'RESPONSE_INVALID',
    `${nameOf(response)} has no end: read ${entries} entries on ${pages} pages`,
    {
      side: response.request.side,
      status: response.status,
      hint: 'the registry sends new pages without end, or its list exceeds the limits; ask its administrator',
    },
  );
}
