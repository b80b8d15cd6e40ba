import type {Exchange} from './exchange.ts';
import {methodRefused, type Registry} from './registry.ts';
import {type Refusal, refusal} from './refusal.ts';
import {jsonReply, type Reply} from './reply.ts';
import type {RouteOf} from './route.ts';

/** Repositories on a page of the catalog at most, and when the client names no `n` (distribution and GitLab). */
const CATALOG_LIMIT = 1000;
const CATALOG_DEFAULT = 100;

/** `GET /v2/_catalog`: not in the spec, but everywhere. */
export async function answerCatalog({storage}: Registry, exchange: Exchange): Promise<Reply> {
  requireGet(exchange);
  const limit = pageSize(exchange) ?? CATALOG_DEFAULT;
  if (limit === 0 || limit > CATALOG_LIMIT) throw invalidPageSize(String(limit));
  const {page, headers} = paginate(await storage.repositories(), limit, exchange);
  return jsonReply(200, {repositories: page}, headers);
}

/** `GET /v2/<name>/tags/list` (distribution-spec, "Listing Tags"). An empty list is null, as GitLab writes it. */
export async function answerTags(
  {storage, flavour}: Registry,
  exchange: Exchange,
  {repository}: RouteOf<'tags'>,
): Promise<Reply> {
  requireGet(exchange);
  if (!(await storage.hasRepository(repository))) {
    throw refusal(404, 'NAME_UNKNOWN', 'repository name not known to registry', {
      name: repository,
    });
  }
  const limit = pageSize(exchange) ?? flavour.tagPageLimit ?? Number.POSITIVE_INFINITY;
  const tags = await storage.manifests.tags(repository);
  const {page, headers} = paginate(tags, limit, exchange);
  return jsonReply(200, {name: repository, tags: page.length === 0 ? null : page}, headers);
}

function requireGet(exchange: Exchange): void {
  if (exchange.method !== 'GET') throw methodRefused(exchange);
}

/** The names after `last`, and where the next ones are (RFC 8288 Link). `n=0` asks for none (distribution-spec). */
function paginate(
  names: readonly string[],
  limit: number,
  {query, path}: Exchange,
): {page: readonly string[]; headers: Reply['headers']} {
  const last = query.get('last');
  const rest = last === null ? names : names.filter((name) => name > last);
  const page = rest.slice(0, limit);
  const final = page.at(-1);
  if (final === undefined || page.length === rest.length) return {page, headers: {}};
  const next = new URLSearchParams({n: String(limit), last: final});
  return {page, headers: {link: `<${path}?${next.toString()}>; rel="next"`}};
}

function pageSize({query}: Exchange): number | undefined {
  const text = query.get('n');
  if (text === null) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw invalidPageSize(text);
  return Number(text);
}

function invalidPageSize(text: string): Refusal {
  return refusal(400, 'PAGINATION_NUMBER_INVALID', 'invalid number of results requested', {
    n: text,
  });
}
