import type {RepositoryPath} from '../model/reference.ts';
import {answerBlob} from './blobs.ts';
import {
  type Exchange,
  jsonReply,
  methodRefused,
  type Refusal,
  refusal,
  type Reply,
} from './exchange.ts';
import {answerManifest, answerReferrers} from './manifests.ts';
import type {RouteOf} from './route.ts';
import type {Storage} from './storage.ts';
import {answerUpload, answerUploads} from './uploads.ts';

/** Differences between registries that all conform to the specification. */
export interface Flavour {
  /** Tags per page when the client names no `n`; undefined: all at once. GitLab with a metadata database: 100. */
  readonly tagPageLimit: number | undefined;
  /** The referrers API and the OCI-Subject header; GitLab has neither. */
  readonly referrers: boolean;
  /** Whether DELETE of manifests and blobs is allowed (405 UNSUPPORTED if not). */
  readonly delete: boolean;
  /** Whether a manifest may be deleted by tag; distribution before 3.0 cannot. */
  readonly deleteByTag: boolean;
  /** Whether POST with `?digest=` takes the whole blob; distribution and GitLab ignore the digest. */
  readonly singlePost: boolean;
  /** Whether layers with `urls` may be absent; GitLab refuses them unless its admin allows the URL. */
  readonly foreignLayers: boolean;
  /**
   * Whether OCI artifact manifests are kept, as zot and others do; distribution and GitLab's registry do not know the type
   * (distribution: manifest/*, `RegisterManifestSchema`).
   */
  readonly artifactManifests: boolean;
  /**
   * Whether an upload is gone once it has got bytes that no answer acknowledged: distribution (docker-registry 2 and 3)
   * compares the offset in the Location with what it has (blobupload.go, `ResumeBlobUpload`); GitLab's does not.
   */
  readonly losesCutUploads: boolean;
  /** Bytes, sent as OCI-Chunk-Min-Length; nothing is taken after a smaller chunk. 0: not sent. */
  readonly minChunk: number;
}

/** The distribution spec 1.1 with all of its optional parts. */
export const SPEC_FLAVOUR: Flavour = {
  tagPageLimit: undefined,
  referrers: true,
  delete: true,
  deleteByTag: true,
  singlePost: true,
  foreignLayers: true,
  artifactManifests: true,
  losesCutUploads: false,
  minChunk: 0,
};

/** GitLab's registry with its metadata database (registry 4.x). */
export const GITLAB_FLAVOUR: Flavour = {
  ...SPEC_FLAVOUR,
  tagPageLimit: 100,
  referrers: false,
  singlePost: false,
  foreignLayers: false,
  artifactManifests: false,
};

/** What the routes of the registry work with. */
export interface Registry {
  readonly storage: Storage;
  readonly flavour: Flavour;
}

/** The permissions of the client, for routes that depend on more than the authorized action. */
export interface Caller {
  mayPull(repository: RepositoryPath): boolean;
}

/**
 * Answers an authorized request (distribution-spec 1.1).
 * @throws Refusal
 */
export async function answerRegistry(
  registry: Registry,
  exchange: Exchange,
  caller: Caller,
): Promise<Reply> {
  const {route} = exchange;
  switch (route.kind) {
    case 'base':
      return jsonReply(200, {});
    case 'catalog':
      return answerCatalog(registry, exchange);
    case 'tags':
      return answerTags(registry, exchange, route);
    case 'manifest':
      return answerManifest(registry, exchange, route);
    case 'blob':
      return answerBlob(registry, exchange, route);
    case 'uploads':
      return answerUploads(registry, exchange, route, caller);
    case 'upload':
      return answerUpload(registry, exchange, route);
    case 'referrers':
      return answerReferrers(registry, exchange, route);
    case 'invalid':
      throw route.refusal;
    case 'token':
    case 'unknown':
      throw refusal(404, 'UNKNOWN', 'no such endpoint', exchange.path);
  }
}

/** Repositories on a page of the catalog at most, and when the client names no `n` (distribution and GitLab). */
const CATALOG_LIMIT = 1000;
const CATALOG_DEFAULT = 100;

/** `GET /v2/_catalog`: not in the spec, but everywhere. */
async function answerCatalog({storage}: Registry, exchange: Exchange): Promise<Reply> {
  requireGet(exchange);
  const limit = pageSize(exchange) ?? CATALOG_DEFAULT;
  if (limit === 0 || limit > CATALOG_LIMIT) throw invalidPageSize(String(limit));
  const {page, headers} = paginate(await storage.repositories(), limit, exchange);
  return jsonReply(200, {repositories: page}, headers);
}

/** `GET /v2/<name>/tags/list` (distribution-spec, "Listing Tags"). An empty list is null, as GitLab writes it. */
async function answerTags(
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
