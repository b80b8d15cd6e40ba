import type {Digest} from '../model/digest.ts';
import {isRepositoryPath, type RepositoryPath} from '../model/reference.ts';
import {checkChunk, exactly} from './chunk-rules.ts';
import type {Exchange} from './exchange.ts';
import {type Caller, methodRefused, type Registry} from './registry.ts';
import {type Refusal, refusal} from './refusal.ts';
import {emptyReply, type Reply} from './reply.ts';
import {checkedDigest, type RouteOf} from './route.ts';
import {decodeUploadState, encodeUploadState} from './upload-state.ts';

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

/** Takes the request's body into the upload, if it is meant for where the upload stands. */
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
