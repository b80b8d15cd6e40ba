import type {Digest} from '../model/digest.ts';
import type {RepositoryPath, Tag} from '../model/reference.ts';
import {Refusal, refusal} from './exchange.ts';
import {isDigest, isRepositoryPath, isTag} from './names.ts';

/** What a request is about: the endpoints of distribution-spec, "Endpoints", and the token service. */
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
  | {readonly kind: 'unknown'}
  /** Something in the path cannot be: nothing of it gets near the storage. */
  | {readonly kind: 'invalid'; readonly refusal: Refusal};

export type RouteOf<K extends Route['kind']> = Extract<Route, {kind: K}>;

export const TOKEN_PATH = '/jwt/auth';

/** A UUID (distribution: registry/handlers/blobupload.go). */
const UPLOAD_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Greedy: a repository may itself be called `a/blobs/uploads`. */
const IN_REPOSITORY =
  /^\/v2\/(.+)\/(tags\/list|manifests\/[^/]+|blobs\/uploads\/[^/]*|blobs\/uploads|blobs\/[^/]+|referrers\/[^/]+)$/;

/** Reads a path, still percent-encoded and without query. */
export function parseRoute(encodedPath: string): Route {
  try {
    return readRoute(encodedPath);
  } catch (error) {
    if (error instanceof Refusal) return {kind: 'invalid', refusal: error};
    throw error;
  }
}

function readRoute(encodedPath: string): Route {
  const path = decode(encodedPath);
  if (path === TOKEN_PATH) return {kind: 'token'};
  if (path === '/v2/' || path === '/v2') return {kind: 'base'};
  if (path === '/v2/_catalog') return {kind: 'catalog'};
  const [, name, rest] = IN_REPOSITORY.exec(path) ?? [];
  if (name === undefined || rest === undefined) return {kind: 'unknown'};
  const repository = checkedName(name);
  const value = rest.slice(rest.lastIndexOf('/') + 1);
  if (rest === 'tags/list') return {kind: 'tags', repository};
  if (rest === 'blobs/uploads' || rest === 'blobs/uploads/') return {kind: 'uploads', repository};
  if (rest.startsWith('blobs/uploads/')) return {kind: 'upload', repository, id: checkedId(value)};
  if (rest.startsWith('blobs/')) return {kind: 'blob', repository, digest: checkedDigest(value)};
  if (rest.startsWith('referrers/'))
    return {kind: 'referrers', repository, digest: checkedDigest(value)};
  return {kind: 'manifest', repository, reference: checkedReference(value)};
}

/** @throws Refusal DIGEST_INVALID */
export function checkedDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw refusal(400, 'DIGEST_INVALID', 'provided digest did not match the expected form', text);
}

function checkedName(text: string): RepositoryPath {
  if (isRepositoryPath(text)) return text;
  throw refusal(400, 'NAME_INVALID', 'invalid repository name', text);
}

function checkedReference(text: string): Tag | Digest {
  if (text.includes(':')) return checkedDigest(text);
  if (isTag(text)) return text;
  throw refusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown: not a tag', text);
}

function checkedId(text: string): string {
  if (UPLOAD_ID.test(text)) return text;
  throw refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry', text);
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw refusal(400, 'NAME_INVALID', 'the path is not valid percent-encoding', path);
  }
}
