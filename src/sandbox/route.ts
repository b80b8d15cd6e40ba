import type {Digest} from '../model/digest.ts';
import type {RepositoryPath, Tag} from '../model/reference.ts';
import {Refusal, refusal} from './exchange.ts';
import {isDigest, isRepositoryPath, isTag} from './names.ts';

/** The resource of a request: the endpoints of distribution-spec, "Endpoints", and the token service. */
export type Route =
  | {readonly kind: 'token'}
  | {readonly kind: 'base'}
  | {readonly kind: 'catalog'}
  | {readonly kind: 'tags'; readonly repository: RepositoryPath}
  | {
      readonly kind: 'manifest';
      readonly repository: RepositoryPath;
      readonly reference: Tag | Digest;
    }
  | {readonly kind: 'blob'; readonly repository: RepositoryPath; readonly digest: Digest}
  | {readonly kind: 'uploads'; readonly repository: RepositoryPath}
  | {readonly kind: 'upload'; readonly repository: RepositoryPath; readonly id: string}
  | {readonly kind: 'referrers'; readonly repository: RepositoryPath; readonly digest: Digest}
  /** A route without its final slash, which is part of the path (`StrictSlash` of gorilla/mux). */
  | {readonly kind: 'slash'; readonly location: string}
  /** A route whose digest, reference or upload id is invalid: nothing of it may reach the storage. */
  | {readonly kind: 'invalid'; readonly repository: RepositoryPath; readonly refusal: Refusal}
  /**
   * No route; this includes invalid names and tags, because routes of the distribution family contain their grammar.
   */
  | {readonly kind: 'unknown'};

export type RouteOf<K extends Route['kind']> = Extract<Route, {kind: K}>;

export const TOKEN_PATH = '/jwt/auth';

/** A UUID (distribution: registry/storage/linkedblobstore.go, `Create`). */
const UPLOAD_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Greedy: a repository may be called `a/blobs/uploads`. */
const IN_REPOSITORY =
  /^\/v2\/(.+)\/(tags\/list|manifests\/[^/]+|blobs\/uploads\/[^/]*|blobs\/uploads|blobs\/[^/]+|referrers\/[^/]+)$/;

/** Reads a path, percent-encoded and without query. */
export function parseRoute(encodedPath: string): Route {
  const path = decoded(encodedPath);
  if (path === TOKEN_PATH) return {kind: 'token'};
  if (path === '/v2') return {kind: 'slash', location: '/v2/'};
  if (path === '/v2/') return {kind: 'base'};
  if (path === '/v2/_catalog') return {kind: 'catalog'};
  const [, repository, rest] = IN_REPOSITORY.exec(path ?? '') ?? [];
  if (repository === undefined || rest === undefined || !isRepositoryPath(repository))
    return {kind: 'unknown'};
  try {
    return routeIn(repository, rest);
  } catch (error) {
    if (error instanceof Refusal) return {kind: 'invalid', repository, refusal: error};
    throw error;
  }
}

function routeIn(repository: RepositoryPath, rest: string): Route {
  const value = rest.slice(rest.lastIndexOf('/') + 1);
  if (rest === 'tags/list') return {kind: 'tags', repository};
  if (rest === 'blobs/uploads') return {kind: 'slash', location: `/v2/${repository}/${rest}/`};
  if (rest === 'blobs/uploads/') return {kind: 'uploads', repository};
  if (rest.startsWith('blobs/uploads/')) return {kind: 'upload', repository, id: checkedId(value)};
  if (rest.startsWith('blobs/')) return {kind: 'blob', repository, digest: checkedDigest(value)};
  if (rest.startsWith('referrers/'))
    return {kind: 'referrers', repository, digest: checkedDigest(value)};
  if (isTag(value) || isDigest(value)) return {kind: 'manifest', repository, reference: value};
  if (!value.includes(':')) return {kind: 'unknown'};
  throw refusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown', {Tag: value});
}

/** @throws Refusal DIGEST_INVALID */
export function checkedDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw refusal(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content', {});
}

function checkedId(text: string): string {
  if (UPLOAD_ID.test(text)) return text;
  throw refusal(404, 'BLOB_UPLOAD_INVALID', 'blob upload invalid', {});
}

/** Undefined: not valid percent-encoding. */
function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}
