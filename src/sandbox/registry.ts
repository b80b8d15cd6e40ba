import type {RepositoryPath} from '../model/reference.ts';
import {answerBlob} from './blobs.ts';
import {
  emptyReply,
  type Exchange,
  jsonReply,
  methodRefused,
  nameUnknown,
  pageNotFound,
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
  /** Tags per page if the client sends no `n`; undefined: all. GitLab with a metadata database: 100. */
  readonly tagPageLimit: number | undefined;
  /**
   * Whether a page size that is no positive number is ignored instead of refused, `n=0` included (GitLab container
   * registry: registry/handlers/tags.go and catalog.go).
   */
  readonly ignoresPageSizes: boolean;
  /** The referrers API and the OCI-Subject header; GitLab has neither. */
  readonly referrers: boolean;
  /** Whether DELETE of manifests and blobs is allowed (405 UNSUPPORTED if not). */
  readonly delete: boolean;
  /** Whether a manifest may be deleted by tag; distribution before 3.0 cannot. */
  readonly deleteByTag: boolean;
  /** Whether POST with `?digest=` takes the whole blob; distribution and GitLab ignore the digest. */
  readonly singlePost: boolean;
  /**
   * Whether `mount` without `from` searches all repositories that the client may read (distribution-spec 1.1);
   * distribution and GitLab open an upload.
   */
  readonly mountsFromAnywhere: boolean;
  /** Whether layers with `urls` may be absent. GitLab refuses them unless its administrator allows the URL. */
  readonly foreignLayers: boolean;
  /**
   * Whether OCI artifact manifests are stored, as zot does; distribution and GitLab's registry do not know the type
   * (distribution: manifest/*, `RegisterManifestSchema`).
   */
  readonly artifactManifests: boolean;
  /**
   * Whether an upload is lost once it has received bytes that no response acknowledged: distribution 2 and 3 compare
   * the offset in the Location with the size (blobupload.go, `ResumeBlobUpload`); GitLab's does not for a query.
   */
  readonly losesCutUploads: boolean;
  /**
   * Whether the size of a chunk must match its Content-Range (400 SIZE_INVALID), as in distribution 3; GitLab checks
   * the start only (registry/handlers/blobupload.go, `PatchBlobData`).
   */
  readonly checksChunkSizes: boolean;
  /** Whether blobs are stored as sha256 only, whatever the digest of the upload (GitLab with a metadata database). */
  readonly storesSha256: boolean;
  /** Bytes, sent as OCI-Chunk-Min-Length; nothing is accepted after a smaller chunk. 0: not sent. */
  readonly minChunk: number;
}

/** Distribution spec 1.1 with all optional parts. */
export const SPEC_FLAVOUR: Flavour = {
  tagPageLimit: undefined,
  ignoresPageSizes: false,
  referrers: true,
  delete: true,
  deleteByTag: true,
  singlePost: true,
  mountsFromAnywhere: true,
  foreignLayers: true,
  artifactManifests: true,
  losesCutUploads: false,
  checksChunkSizes: true,
  storesSha256: false,
  minChunk: 0,
};

/** GitLab's registry with its metadata database (registry 4.x). */
export const GITLAB_FLAVOUR: Flavour = {
  ...SPEC_FLAVOUR,
  tagPageLimit: 100,
  ignoresPageSizes: true,
  referrers: false,
  singlePost: false,
  mountsFromAnywhere: false,
  foreignLayers: false,
  artifactManifests: false,
  checksChunkSizes: false,
  storesSha256: true,
};

/** The state that the routes of a registry share. */
export interface Registry {
  readonly storage: Storage;
  readonly flavour: Flavour;
}

/** The permissions of the client, for routes that need more than the authorized action. */
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
    case 'slash':
      return emptyReply(301, {location: route.location});
    case 'invalid':
      throw route.refusal;
    case 'token':
    case 'unknown':
      throw pageNotFound();
  }
}

/** The default size of a page of the catalog, and its maximum (distribution and GitLab). */
const CATALOG_DEFAULT = 100;
const CATALOG_LIMIT = 1000;

/** `GET /v2/_catalog`: not in the specification, but in all registries of the distribution family. */
async function answerCatalog({storage, flavour}: Registry, exchange: Exchange): Promise<Reply> {
  requireGet(exchange);
  const limit = pageSize(exchange, flavour) ?? CATALOG_DEFAULT;
  if (limit === 0 || limit > CATALOG_LIMIT) throw invalidPageSize(String(limit));
  const {page, headers} = paginate(await storage.repositories(), limit, exchange);
  return jsonReply(200, {repositories: page}, headers);
}

/** `GET /v2/<name>/tags/list` (distribution-spec, "Listing Tags"). An empty list is null, as in GitLab's responses. */
async function answerTags(
  {storage, flavour}: Registry,
  exchange: Exchange,
  {repository}: RouteOf<'tags'>,
): Promise<Reply> {
  requireGet(exchange);
  if (!(await storage.hasRepository(repository))) throw nameUnknown(repository);
  const limit = pageSize(exchange, flavour) ?? flavour.tagPageLimit ?? Number.POSITIVE_INFINITY;
  const tags = await storage.manifests.tags(repository);
  const {page, headers} = paginate(tags, limit, exchange);
  return jsonReply(200, {name: repository, tags: page.length === 0 ? null : page}, headers);
}

function requireGet({method}: Exchange): void {
  if (method !== 'GET') throw methodRefused('GET');
}

/** The names after `last`, and the link to the next page (RFC 8288). `n=0` returns none (distribution-spec). */
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
  const next = new URLSearchParams({last: final, n: String(limit)});
  return {page, headers: {link: `<${path}?${next.toString()}>; rel="next"`}};
}

/** Undefined: the client leaves it to the registry. */
function pageSize({query}: Exchange, {ignoresPageSizes}: Flavour): number | undefined {
  const text = query.get('n');
  if (text === null) return undefined;
  const isNumber = /^\d{1,9}$/.test(text);
  if (ignoresPageSizes && !(isNumber && Number(text) > 0)) return undefined;
  if (!isNumber) throw invalidPageSize(text);
  return Number(text);
}

function invalidPageSize(text: string): Refusal {
  const message = 'invalid number of results requested';
  return refusal(400, 'PAGINATION_NUMBER_INVALID', message, {n: text});
}
