import {createHash} from 'node:crypto';
import type {HttpResponse} from '../http/response.ts';
import {describeRequest} from '../http/request.ts';
import {formatByteRange, parseContentRange} from '../http/header-fields.ts';
import {isWebPage} from '../http/web-page.ts';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, finishDigest, isDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {RegistryConnection, RegistryRequest} from './connection.ts';
import {registryRefusal} from './refusal.ts';
import type {Scope} from './scope.ts';

/*
 * A write is complete when its result has been seen at the registry. The response that the specification requires, 201
 * with the digest, is sufficient. After any other success, the content is looked up: load balancers answer 200 to
 * requests that never reached a registry, and 202 does not promise completion (RFC 9110, 15.3.3).
 */

/** Whether the response to a write states that content with a digest accepted by `isRight` was stored. */
export function saysStored(response: HttpResponse, isRight: (digest: Digest) => boolean): boolean {
  const digest = digestHeader(response);
  return response.status === 201 && digest !== undefined && isRight(digest);
}

/** `Docker-Content-Digest`; undefined: absent, or not a digest. */
export function digestHeader(response: HttpResponse): Digest | undefined {
  const digest = response.header('docker-content-digest')?.trim();
  return digest !== undefined && isDigest(digest) ? digest : undefined;
}

/** Whether the status is 2xx, which does not prove that anything was stored. */
export function isSuccess({status}: HttpResponse): boolean {
  return status >= 200 && status < 300;
}

/** A blob to look up. */
interface WantedBlob {
  readonly path: RepositoryPath;
  readonly blob: Pick<Descriptor, 'digest' | 'size'>;
  /** The scope of the request: that of the write if the blob was just written. */
  readonly scope: Scope;
}

/**
 * Whether a repository has a blob. Uses HEAD, and GET if HEAD is refused or inconclusive: HEAD is cheaper, but some
 * registries and proxies refuse it.
 * @throws TransshipError the registry's refusals
 */
export async function hasBlob(
  connection: RegistryConnection,
  wanted: WantedBlob,
  call: Call,
): Promise<boolean> {
  if (!connection.uses('blob-head')) return isReadable(connection, wanted, call);
  const response = await askFor(connection, wanted, {method: 'HEAD', ...call});
  if (response.status === 404 && !isWebPage(response)) return false;
  if (isAboutAsker(response)) throw await registryRefusal(response);
  if (response.status === 200 && isBlob(response, response.length, wanted)) return true;
  const isThere = await isReadable(connection, wanted, call);
  if (!isSuccess(response) && response.status !== 404) {
    const reason = `${describeRequest(response.request)} answered ${response.status}`;
    connection.featureNotUsed('blob-head', reason, 'blobs are searched by GET');
  }
  return isThere;
}

/**
 * Whether the refusal is about the login or the request rate: it does not mean that HEAD is unsupported, and another
 * request would count against the login.
 */
export function isAboutAsker({status}: HttpResponse): boolean {
  return status === 401 || status === 429;
}

/** Requests the first byte, and reads no more than that. */
async function isReadable(
  connection: RegistryConnection,
  wanted: WantedBlob,
  call: Call,
): Promise<boolean> {
  const headers = wanted.blob.size > 0 ? {range: formatByteRange(0, 1)} : {};
  const response = await askFor(connection, wanted, {method: 'GET', headers, ...call});
  const {status} = response;
  if (status !== 200 && status !== 206 && status !== 404) throw await registryRefusal(response);
  response.cancel();
  if (status === 404) return false;
  const total = parseContentRange(response.header('content-range'))?.total;
  if (isBlob(response, status === 206 ? total : response.length, wanted)) return true;
  return !isWebPage(response) && hasBytes(connection, wanted, call);
}

/** Compares digests by reading the whole blob: its size in the manifest may be wrong. */
async function hasBytes(
  connection: RegistryConnection,
  wanted: WantedBlob,
  call: Call,
): Promise<boolean> {
  const response = await askFor(connection, wanted, {method: 'GET', lane: 'read', ...call});
  if (response.status !== 200) {
    await response.discard();
    return false;
  }
  const {digest} = wanted.blob;
  const algorithm = algorithmOf(digest);
  const hash = createHash(algorithm);
  for await (const chunk of response.chunks()) hash.update(chunk);
  return finishDigest(hash, algorithm) === digest;
}

function askFor(
  connection: RegistryConnection,
  {path, blob, scope}: WantedBlob,
  request: Pick<RegistryRequest, 'method' | 'headers' | 'lane' | keyof Call>,
): Promise<HttpResponse> {
  return connection.send({
    ...request,
    target: `${path}/blobs/${blob.digest}`,
    path,
    scopes: [scope],
  });
}

/**
 * Whether a response shows that the blob exists, by its digest or its size. Some servers, such as login pages or health
 * checks, answer 200 to everything.
 */
function isBlob(response: HttpResponse, size: number | undefined, {blob}: WantedBlob): boolean {
  if (digestHeader(response) === blob.digest) return true;
  return !isWebPage(response) && (size === undefined || size === blob.size);
}

/**
 * The error for a registry that confirmed a write but does not have the content.
 * @param what `host/path@digest`
 */
export function notStored(what: string, response: HttpResponse): TransshipError {
  const {request, status} = response;
  return new TransshipError(
    'CHANGE_NOT_SEEN',
    `${describeRequest(request)} answered ${status}, but ${what} does not exist`,
    {
      side: request.side,
      hint: 'the registry or a proxy in front of it reported success without storing the content; run the command again, and ask its administrator if this happens again',
      retry: true,
      status,
    },
  );
}
