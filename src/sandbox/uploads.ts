import type {Digest} from '../model/digest.ts';
import type {RepositoryPath} from '../model/reference.ts';
import {
  emptyReply,
  type Exchange,
  methodRefused,
  type Refusal,
  refusal,
  type Reply,
} from './exchange.ts';
import type {Slice} from './file-tree.ts';
import {isDigest, isRepositoryPath} from './names.ts';
import type {Caller, Registry} from './registry.ts';
import {checkedDigest, type RouteOf} from './route.ts';

type UploadRoute = RouteOf<'upload'>;

/** `POST /v2/<name>/blobs/uploads/` (distribution-spec, "Pushing blobs", "Mounting a blob from another repository"). */
export async function answerUploads(
  registry: Registry,
  exchange: Exchange,
  {repository}: RouteOf<'uploads'>,
  caller: Caller,
): Promise<Reply> {
  const {storage, flavour} = registry;
  if (exchange.method === 'GET' || exchange.method === 'HEAD') throw uploadUnknown();
  if (exchange.method !== 'POST') throw methodRefused('DELETE, GET, HEAD, PATCH, POST, PUT');
  const mounted = await mountSource(registry, exchange.query, caller);
  if (mounted !== undefined) {
    await storage.blobs.link(repository, mounted);
    return created(exchange, repository, mounted);
  }
  const digest = flavour.singlePost ? exchange.query.get('digest') : null;
  const wanted = digest === null ? undefined : checkedDigest(digest);
  const id = await storage.uploads.begin(repository);
  const route: UploadRoute = {kind: 'upload', repository, id};
  if (wanted === undefined) return opened(registry, exchange, route);
  await storage.uploads.append(repository, id, exchange.body);
  return commit(registry, exchange, route, wanted);
}

/** `/v2/<name>/blobs/uploads/<id>`: one request at a time may write to an upload. */
export async function answerUpload(
  registry: Registry,
  exchange: Exchange,
  route: UploadRoute,
): Promise<Reply> {
  const {storage, flavour} = registry;
  const {repository, id} = route;
  const offset = decodeUploadState(exchange.query.get('_state'), route);
  if (offset === undefined) throw uploadInvalid();
  const size = await sizeOf(registry, route);
  if (flavour.losesCutUploads && offset !== size) throw uploadInvalid();
  switch (exchange.method) {
    case 'GET':
    case 'HEAD':
      return underWay(204, exchange, route, size);
    case 'PATCH':
      return storage.uploads.exclusively(id, () => appendChunk(registry, exchange, route, offset));
    case 'PUT':
      return storage.uploads.exclusively(id, () => closeUpload(registry, exchange, route, offset));
    case 'DELETE':
      if (offset !== size) throw outdated();
      await storage.uploads.cancel(repository, id);
      return emptyReply(204, {'docker-upload-uuid': id});
    default:
      throw methodRefused('DELETE, GET, HEAD, PATCH, POST, PUT');
  }
}

async function appendChunk(
  registry: Registry,
  exchange: Exchange,
  route: UploadRoute,
  offset: number,
): Promise<Reply> {
  const before = await sizeOf(registry, route);
  if (offset !== before) throw outdated();
  const type = exchange.headers['content-type'];
  // GitLab container registry: registry/handlers/blobupload.go, `PatchBlobData`, which classifies neither error.
  if (type !== undefined && type !== 'application/octet-stream')
    throw refusal(500, 'UNKNOWN', 'unknown error', {});
  const range = exchange.headers['content-range'];
  if (range !== undefined) {
    const chunk = parseChunkRange(range);
    if (chunk === undefined) throw refusal(500, 'UNKNOWN', 'unknown error', 'invalid range');
    if (chunk.start !== before) throw rangeInvalid();
  }
  await append(registry, exchange, route);
  const size = await sizeOf(registry, route);
  // Only the requests that follow can show whether this chunk was the last.
  if (size > before && size - before < registry.flavour.minChunk)
    registry.storage.uploads.addNoMore(route.id);
  return underWay(202, exchange, route, size);
}

async function closeUpload(
  registry: Registry,
  exchange: Exchange,
  route: UploadRoute,
  offset: number,
): Promise<Reply> {
  if (offset !== (await sizeOf(registry, route))) throw outdated();
  const digest = checkedDigest(exchange.query.get('digest') ?? '');
  await append(registry, exchange, route);
  return commit(registry, exchange, route, digest);
}

/** Appends the request's body to the upload. */
async function append(
  {storage: {uploads}, flavour}: Registry,
  {headers, body}: Exchange,
  {repository, id}: UploadRoute,
): Promise<void> {
  const length = headers['content-length'];
  const isEmpty = (length ?? '0') === '0' && headers['transfer-encoding'] === undefined;
  // A chunk below the minimum must be the last one (distribution-spec, "Pushing a blob in chunks", which specifies no
  // status for this).
  if (uploads.isOver(id) && !isEmpty) throw rangeInvalid();
  const range = parseChunkRange(headers['content-range'] ?? '');
  const size = range && range.end - range.start;
  if (size === undefined || !flavour.checksChunkSizes) return uploads.append(repository, id, body);
  if (length !== undefined && Number(length) !== size)
    throw refusal(400, 'SIZE_INVALID', 'provided length did not match content length');
  await uploads.append(repository, id, exactly(body, size));
}

async function commit(
  {storage, flavour}: Registry,
  exchange: Exchange,
  {repository, id}: UploadRoute,
  digest: Digest,
): Promise<Reply> {
  const stored = await storage.uploads.commit(repository, id, digest, flavour.storesSha256);
  if (stored === undefined)
    throw refusal(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content', digest);
  await storage.blobs.link(repository, stored);
  return created(exchange, repository, stored);
}

/** Bytes of the upload. @throws Refusal BLOB_UPLOAD_UNKNOWN */
async function sizeOf({storage}: Registry, {repository, id}: UploadRoute): Promise<number> {
  const size = await storage.uploads.size(repository, id);
  if (size === undefined) throw uploadUnknown();
  return size;
}

/**
 * The blob that a request mounts; undefined: an upload has to be opened, as for a digest that is invalid (distribution:
 * registry/handlers/blobupload.go, `StartBlobUpload`).
 */
async function mountSource(
  {storage, flavour}: Registry,
  query: URLSearchParams,
  caller: Caller,
): Promise<Digest | undefined> {
  const digest = query.get('mount') ?? '';
  const from = query.get('from') ?? '';
  if (!isDigest(digest) || (from === '' && !flavour.mountsFromAnywhere)) return undefined;
  const candidates =
    from === ''
      ? (await storage.repositories()).filter((repository) => caller.mayPull(repository))
      : [from].filter(isRepositoryPath);
  for (const repository of candidates)
    if ((await storage.blobs.size(repository, digest)) !== undefined) return digest;
  return undefined;
}

/** The only response with the minimum size of a chunk (distribution-spec, "Pushing a blob in chunks"). */
function opened(registry: Registry, exchange: Exchange, route: UploadRoute): Reply {
  const {minChunk} = registry.flavour;
  const {status, headers} = underWay(202, exchange, route, 0);
  const announced = minChunk > 0 ? {'oci-chunk-min-length': String(minChunk)} : {};
  return emptyReply(status, {...headers, ...announced});
}

function underWay(status: number, {origin}: Exchange, route: UploadRoute, size: number): Reply {
  const path = `${origin}/v2/${route.repository}/blobs/uploads/${route.id}`;
  return emptyReply(status, {
    location: `${path}?_state=${encodeUploadState(route, size)}`,
    // For no bytes, too, registries of the distribution family send 0-0.
    range: `0-${Math.max(size - 1, 0)}`,
    'docker-upload-uuid': route.id,
  });
}

function created({origin}: Exchange, repository: RepositoryPath, digest: Digest): Reply {
  return emptyReply(201, {
    location: `${origin}/v2/${repository}/blobs/${digest}`,
    'docker-content-digest': digest,
  });
}

function uploadUnknown(): Refusal {
  return refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry', {});
}

function uploadInvalid(): Refusal {
  return refusal(404, 'BLOB_UPLOAD_INVALID', 'blob upload invalid', {});
}

/**
 * A client that sends to an outdated Location. The response does not contain the offset: the client has to query it.
 */
function outdated(): Refusal {
  return refusal(416, 'RESUMABLE_BLOB_UPLOAD_INVALID', 'resumable blob upload invalid');
}

function rangeInvalid(): Refusal {
  return refusal(416, 'CONTENT_RANGE_INVALID', 'invalid content range');
}

/**
 * The `_state` in an upload's Location: repository, upload, and its size at that time. Clients must not interpret it;
 * it detects clients that resume with an outdated Location, as in GitLab's registry (registry/handlers/hmac.go).
 */
function encodeUploadState({repository, id}: UploadRoute, offset: number): string {
  return Buffer.from(`${repository}:${id}:${offset}`).toString('base64url');
}

/** The offset; undefined: not a state of this upload. */
function decodeUploadState(
  state: string | null,
  {repository, id}: UploadRoute,
): number | undefined {
  const text = Buffer.from(state ?? '', 'base64url').toString();
  const start = `${repository}:${id}:`;
  const offset = text.startsWith(start) ? text.slice(start.length) : '';
  return /^\d{1,15}$/.test(offset) ? Number(offset) : undefined;
}

/**
 * Passes on a body of `length` bytes.
 * @throws Refusal SIZE_INVALID if it is longer or shorter, after the bytes up to there were passed on
 */
async function* exactly(
  body: AsyncIterable<Uint8Array>,
  length: number,
): AsyncGenerator<Uint8Array> {
  let missing = length;
  for await (const chunk of body) {
    if (chunk.byteLength > missing) {
      if (missing > 0) yield chunk.subarray(0, missing);
      throw refusal(400, 'SIZE_INVALID', `the body is longer than ${length} bytes`);
    }
    missing -= chunk.byteLength;
    yield chunk;
  }
  if (missing > 0) throw refusal(400, 'SIZE_INVALID', `the body is shorter than ${length} bytes`);
}

/** The Content-Range of a chunk, `<start>-<end>` without a unit (distribution-spec, "Pushing a blob in chunks"). */
function parseChunkRange(header: string): Slice | undefined {
  const [, first, last] = /^(\d{1,15})-(\d{1,15})$/.exec(header) ?? [];
  if (first === undefined || last === undefined) return undefined;
  return {start: Number(first), end: Number(last) + 1};
}
