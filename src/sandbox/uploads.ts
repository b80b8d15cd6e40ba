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
import {isRepositoryPath} from './names.ts';
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
  if (exchange.method !== 'POST') throw methodRefused(exchange);
  const {storage, flavour} = registry;
  const mount = exchange.query.get('mount');
  if (mount !== null) {
    const digest = checkedDigest(mount);
    if (await canMount(registry, digest, exchange.query.get('from'), caller)) {
      await storage.blobs.link(repository, digest);
      return created(exchange, repository, digest);
    }
  }
  const digest = flavour.singlePost ? exchange.query.get('digest') : null;
  const wanted = digest === null ? undefined : checkedDigest(digest);
  const id = await storage.uploads.begin(repository);
  const route: UploadRoute = {kind: 'upload', repository, id};
  if (wanted === undefined) return opened(registry, exchange, route);
  await storage.uploads.append(repository, id, exchange.body);
  return commit(registry, exchange, route, wanted);
}

/** `/v2/<name>/blobs/uploads/<id>`: one at a time may write to an upload. */
export async function answerUpload(
  registry: Registry,
  exchange: Exchange,
  route: UploadRoute,
): Promise<Reply> {
  const {storage, flavour} = registry;
  const {repository, id} = route;
  const size = await storage.uploads.size(repository, id);
  if (size === undefined) throw uploadUnknown(id);
  const offset = decodeUploadState(exchange.query.get('_state'), id);
  if (offset === undefined || (flavour.losesCutUploads && offset !== size))
    throw refusal(404, 'BLOB_UPLOAD_INVALID', 'the _state of the upload is not valid');
  switch (exchange.method) {
    case 'GET':
    case 'HEAD':
      return underWay(204, exchange, route, size);
    case 'PATCH':
      return storage.uploads.exclusively(id, () => appendChunk(registry, exchange, route));
    case 'PUT':
      return storage.uploads.exclusively(id, () => closeUpload(registry, exchange, route));
    case 'DELETE':
      await storage.uploads.cancel(repository, id);
      return emptyReply(204, {'docker-upload-uuid': id});
    default:
      throw methodRefused(exchange);
  }
}

async function appendChunk(
  registry: Registry,
  exchange: Exchange,
  route: UploadRoute,
): Promise<Reply> {
  const before = await sizeOf(registry, route);
  await append(registry, exchange, route);
  const size = await sizeOf(registry, route);
  // Only what follows can tell whether it was the last.
  if (size > before && size - before < registry.flavour.minChunk)
    registry.storage.uploads.addNoMore(route.id);
  return underWay(202, exchange, route, size);
}

async function closeUpload(
  registry: Registry,
  exchange: Exchange,
  route: UploadRoute,
): Promise<Reply> {
  const digest = checkedDigest(exchange.query.get('digest') ?? '');
  await append(registry, exchange, route);
  return commit(registry, exchange, route, digest);
}

/** Appends the request's body to the upload, if its offset matches. */
async function append(registry: Registry, exchange: Exchange, route: UploadRoute): Promise<void> {
  const {repository, id} = route;
  const size = await sizeOf(registry, route);
  const progress = () => underWay(416, exchange, route, size).headers;
  const {uploads} = registry.storage;
  const length = checkChunk(exchange, id, size, uploads.isOver(id), progress);
  await uploads.append(repository, id, exactly(exchange.body, length));
}

async function commit(
  {storage}: Registry,
  exchange: Exchange,
  {repository, id}: UploadRoute,
  digest: Digest,
): Promise<Reply> {
  if (!(await storage.uploads.commit(repository, id, digest))) {
    throw refusal(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content', digest);
  }
  await storage.blobs.link(repository, digest);
  return created(exchange, repository, digest);
}

async function sizeOf({storage}: Registry, {repository, id}: UploadRoute): Promise<number> {
  const size = await storage.uploads.size(repository, id);
  if (size === undefined) throw uploadUnknown(id);
  return size;
}

/** Without `from` any repository will do that the caller may read (distribution-spec 1.1, `mount` without `from`). */
async function canMount(
  {storage}: Registry,
  digest: Digest,
  from: string | null,
  caller: Caller,
): Promise<boolean> {
  const candidates =
    from === null
      ? (await storage.repositories()).filter((repository) => caller.mayPull(repository))
      : [from].filter(isRepositoryPath);
  for (const repository of candidates) {
    if ((await storage.blobs.size(repository, digest)) !== undefined) return true;
  }
  return false;
}

/** The one answer that tells the least size of a chunk (distribution-spec, "Pushing a blob in chunks"). */
function opened(registry: Registry, exchange: Exchange, route: UploadRoute): Reply {
  const {minChunk} = registry.flavour;
  const {status, headers} = underWay(202, exchange, route, 0);
  const announced = minChunk > 0 ? {'oci-chunk-min-length': String(minChunk)} : {};
  return emptyReply(status, {...headers, ...announced});
}

function underWay(
  status: number,
  {origin}: Exchange,
  {repository, id}: UploadRoute,
  size: number,
): Reply {
  const path = `${origin}/v2/${repository}/blobs/uploads/${id}`;
  return emptyReply(status, {
    location: `${path}?_state=${encodeUploadState(id, size)}`,
    // Of no bytes the last one is 0 as well: so says every registry of the distribution family.
    range: `0-${Math.max(size - 1, 0)}`,
    'docker-upload-uuid': id,
  });
}

function created({origin}: Exchange, repository: RepositoryPath, digest: Digest): Reply {
  return emptyReply(201, {
    location: `${origin}/v2/${repository}/blobs/${digest}`,
    'docker-content-digest': digest,
  });
}

function uploadUnknown(id: string): Refusal {
  return refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry', id);
}

/**
 * The `_state` in an upload's Location: which upload, and how many bytes it had. Clients must take it for opaque;
 * it detects clients that resume with an outdated Location, as in GitLab's registry (handlers/blobupload.go).
 */
function encodeUploadState(id: string, offset: number): string {
  return Buffer.from(`${id}:${offset}`).toString('base64url');
}

/** The offset; undefined: not a state of this upload. */
function decodeUploadState(state: string | null, id: string): number | undefined {
  const [found, offset] = Buffer.from(state ?? '', 'base64url')
    .toString()
    .split(':');
  return found === id && offset !== undefined && /^\d{1,15}$/.test(offset)
    ? Number(offset)
    : undefined;
}

/**
 * Checks that a chunk matches the offset of the upload: its `_state`, its Content-Range and its length.
 * @param size bytes the upload has
 * @param isOver whether its last chunk came, as one must be that is smaller than the minimum that was announced
 *   (distribution-spec, "Pushing a blob in chunks"; it names no status for it, so the one for what is out of order)
 * @param progress the headers that tell the client the current offset
 * @returns the bytes that the body must have; undefined: any number
 * @throws Refusal
 */
function checkChunk(
  {headers, query}: Exchange,
  id: string,
  size: number,
  isOver: boolean,
  progress: () => Reply['headers'],
): number | undefined {
  const type = headers['content-type'];
  if (type !== undefined && type !== 'application/octet-stream')
    throw refusal(400, 'BLOB_UPLOAD_INVALID', 'bad Content-Type', type);
  if (decodeUploadState(query.get('_state'), id) !== size) {
    const message = 'upload offset mismatch: query the offset and resume';
    throw refusal(416, 'RESUMABLE_BLOB_UPLOAD_INVALID', message, undefined, progress());
  }
  const contentRange = headers['content-range'];
  const length = headers['content-length'];
  const isEmpty = (length ?? '0') === '0' && headers['transfer-encoding'] === undefined;
  if (isOver && !isEmpty) {
    const message =
      'the previous chunk was smaller than OCI-Chunk-Min-Length and therefore the last';
    throw refusal(416, 'CONTENT_RANGE_INVALID', message, contentRange, progress());
  }
  if (contentRange === undefined) return undefined;
  const range = parseChunkRange(contentRange);
  if (range?.start !== size) {
    const message = `the range must start at ${size}`;
    throw refusal(416, 'CONTENT_RANGE_INVALID', message, contentRange, progress());
  }
  if (length !== undefined && Number(length) !== range.end - range.start)
    throw refusal(400, 'SIZE_INVALID', 'Content-Length and Content-Range differ', contentRange);
  return range.end - range.start;
}

/**
 * Passes a body on as far as it may go.
 * @throws Refusal SIZE_INVALID where it is longer or shorter; what came until then was passed on
 */
async function* exactly(
  body: AsyncIterable<Uint8Array>,
  length: number | undefined,
): AsyncGenerator<Uint8Array> {
  let missing = length ?? Number.POSITIVE_INFINITY;
  for await (const chunk of body) {
    if (chunk.byteLength > missing) {
      if (missing > 0) yield chunk.subarray(0, missing);
      throw refusal(400, 'SIZE_INVALID', `the body is longer than ${length} bytes`);
    }
    missing -= chunk.byteLength;
    yield chunk;
  }
  if (length !== undefined && missing > 0)
    throw refusal(400, 'SIZE_INVALID', `the body is shorter than ${length} bytes`);
}

/** `Content-Range: <start>-<end>` of a chunk that is being pushed, which has no unit (distribution-spec, "Pushing a blob in chunks"). */
function parseChunkRange(header: string): Slice | undefined {
  const [, first, last] =
    /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header) ?? [];
  if (first === undefined || last === undefined || Number(last) < Number(first)) return undefined;
  return {start: Number(first), end: Number(last) + 1};
}
