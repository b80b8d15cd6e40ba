import {
  type Exchange,
  nameUnknown,
  type Refusal,
  refusal,
  refusals,
  type Reply,
} from '../exchange.ts';
import {
  type ManifestEntry,
  MANIFEST_SIZE_LIMIT,
  readManifest,
  type StoredManifest,
} from '../manifest-format.ts';
import {blobUnknown} from '../manifests.ts';
import type {RepositoryPath} from '../../model/reference.ts';
import {isDigest} from '../names.ts';
import type {Route, RouteOf} from '../route.ts';
import type {Instance} from './instance.ts';
import {isKnownMediaType} from './media-types.ts';
import type {TagLimits} from './registry-tokens.ts';
import {matchesTag} from './rights.ts';

/**
 * Protects protected and immutable tags. The registry answers 401 also to authenticated clients (GitLab container
 * registry: registry/handlers/manifests.go, `validateTagDeleteRestriction` and others; registry/api/v2/errors.go).
 * @throws Refusal PROTECTED_TAG, IMMUTABLE_TAG, PROTECTED_MANIFEST
 */
export async function requireUnlimited(
  {storage}: Instance,
  limits: TagLimits,
  method: string,
  {repository, reference}: RouteOf<'manifest'>,
): Promise<void> {
  if (isDigest(reference)) {
    const isLimited = limits.delete.length + limits.immutable.length > 0;
    if (method === 'DELETE' && isLimited) {
      const message =
        'insufficient permissions to delete manifest due to tag protection or immutability policies';
      throw refusal(401, 'PROTECTED_MANIFEST', message);
    }
    return;
  }
  const denied = method === 'DELETE' ? limits.delete : limits.push;
  if (denied.some((pattern) => matchesTag(pattern, reference))) {
    const message = 'insufficient permissions to push or delete protected tag';
    throw refusal(401, 'PROTECTED_TAG', message, `tag "${reference}" is protected`);
  }
  // A new tag may be pushed, and is immutable from then on; a deletion is refused whether the tag exists or not.
  const isNew =
    method !== 'DELETE' && (await storage.manifests.resolve(repository, reference)) === undefined;
  if (!isNew && limits.immutable.some((pattern) => matchesTag(pattern, reference)))
    throw refusal(401, 'IMMUTABLE_TAG', 'tag is immutable', `tag "${reference}" is immutable`);
}

/**
 * Marks an index as a cache of BuildKit, which lists layers (GitLab container registry: manifest/manifestlist/compat).
 */
const BUILDKIT_CACHE = 'application/vnd.buildkit.cacheconfig.v0';

/**
 * Layers whose `urls` the registry validates (GitLab container registry: registry/storage/validation/oci.go,
 * schema2.go).
 */
const VALIDATED_LAYERS =
  /^application\/vnd\.oci\.image\.layer\.(?:nondistributable\.)?v1\.tar(?:\+gzip)?$/;
const DOCKER_FOREIGN_LAYER = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';

/**
 * What GitLab's registry refuses and distribution accepts (GitLab container registry: registry/storage/validation,
 * registry/handlers/manifests.go, docs/supported-media-types.md). An index is not checked for its `artifactType` and
 * `subject`, which the registry does not read. Reads the body and puts it back.
 * @throws Refusal MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN, UNKNOWN (500)
 */
export async function checkManifest(
  instance: Instance,
  exchange: Exchange,
  {repository}: RouteOf<'manifest'>,
): Promise<void> {
  const bytes = await readBody(exchange);
  const manifest = readable(bytes, exchange.headers['content-type']);
  if (manifest?.kind === 'index') requireManifests(instance, manifest);
  if (manifest?.kind !== 'image') return;
  const foreign = manifest.blobs.filter((layer) => isForeign(layer, manifest));
  if (foreign.length > 0) throw refusals(500, foreign.flatMap(invalidUrl));
  const {subject} = manifest;
  if (subject !== undefined && !(await instance.storage.manifests.has(repository, subject)))
    throw refusals(400, [blobUnknown(subject)]);
  if (instance.mode === 'legacy') return;
  requireKnownTypes(manifest);
  await requireLayers(instance, repository, manifest);
}

async function readBody(exchange: Exchange): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of exchange.body) {
    chunks.push(chunk);
    size += chunk.byteLength;
    // 400, not 413 (GitLab container registry: registry/handlers/manifests.go, `maxManifestBodySize`).
    if (size > MANIFEST_SIZE_LIMIT)
      throw refusal(400, 'MANIFEST_INVALID', 'manifest invalid', 'http: request body too large');
  }
  exchange.body = again(chunks);
  return Buffer.concat(chunks);
}

/** An invalid manifest is refused later, with a more specific error. */
function readable(bytes: Uint8Array, contentType: string | undefined): StoredManifest | undefined {
  try {
    return readManifest(bytes, contentType, undefined);
  } catch {
    return undefined;
  }
}

async function* again(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

/**
 * An index lists manifests, unless it is a cache of BuildKit. With the database, it must list one at least: the
 * registry fails otherwise.
 */
function requireManifests({mode}: Instance, {manifests, blobs}: StoredManifest): void {
  const isCache = blobs.some(({mediaType}) => mediaType === BUILDKIT_CACHE);
  if (blobs.length > 0 && !isCache)
    throw refusals(
      400,
      blobs.map(({digest}) => blobUnknown(digest)),
    );
  if (mode === 'metadata-db' && manifests.length + blobs.length === 0) throw unknownError();
}

/** Whether the registry refuses the layer for its `urls`: without an administrator's list it allows none. */
function isForeign({mediaType, urls}: ManifestEntry, manifest: StoredManifest): boolean {
  const hasUrls = (urls ?? []).length > 0;
  if (manifest.mediaType.startsWith('application/vnd.oci.'))
    return hasUrls && VALIDATED_LAYERS.test(mediaType);
  return mediaType === DOCKER_FOREIGN_LAYER;
}

function invalidUrl({digest}: ManifestEntry) {
  return [{code: 'UNKNOWN', message: 'unknown error', detail: {}}, blobUnknown(digest)] as const;
}

function requireKnownTypes({config, artifactType}: StoredManifest): void {
  for (const type of [config?.mediaType, artifactType]) {
    if (type !== undefined && type !== '' && !isKnownMediaType(type)) {
      const detail = `unknown media type: ${type}`;
      throw refusal(400, 'MANIFEST_INVALID', 'manifest invalid', detail);
    }
  }
}

/** The database refers to each layer, so that the registry fails at one that is only elsewhere. */
async function requireLayers(
  {storage}: Instance,
  repository: RepositoryPath,
  {blobs}: StoredManifest,
): Promise<void> {
  for (const {digest, urls} of blobs) {
    const isElsewhere = (urls ?? []).length > 0;
    if (isElsewhere && (await storage.blobs.size(repository, digest)) === undefined)
      throw unknownError();
  }
}

function unknownError(): Refusal {
  return refusal(500, 'UNKNOWN', 'unknown error', {});
}

/**
 * With the database, a manifest that an index lists, tagged or not, cannot be deleted, and a repository must exist
 * (GitLab container registry: registry/handlers/manifests.go, `dbDeleteManifest`, which does not classify its absence;
 * registry/handlers/blob.go, `dbDeleteBlob`).
 * @throws Refusal MANIFEST_REFERENCED, NAME_UNKNOWN, UNKNOWN (500)
 */
export async function requireDeletable({mode, storage}: Instance, route: Route): Promise<void> {
  if (mode === 'legacy' || (route.kind !== 'manifest' && route.kind !== 'blob')) return;
  const {repository} = route;
  const exists = await storage.hasRepository(repository);
  if (route.kind === 'blob') {
    if (!exists) throw nameUnknown(repository);
    return;
  }
  if (!isDigest(route.reference)) return;
  if (!exists) throw unknownError();
  for (const {manifests} of await storage.manifests.all(repository)) {
    if (manifests.some(({digest}) => digest === route.reference))
      throw refusal(409, 'MANIFEST_REFERENCED', 'manifest referenced by a manifest list');
  }
}

/** Answers a request of the registry, and records the change that it made. */
export async function recordWrite(
  {storage, events}: Instance,
  {method, route, query}: Exchange,
  by: string,
  answer: () => Promise<Reply>,
): Promise<Reply> {
  const tagged =
    route.kind === 'manifest' && method === 'DELETE' && !isDigest(route.reference)
      ? await storage.manifests.resolve(route.repository, route.reference)
      : undefined;
  const reply = await answer();
  if (reply.status >= 300 || !('repository' in route)) return reply;
  const {repository} = route;
  const digest = String(reply.headers['docker-content-digest'] ?? '');
  if (route.kind === 'manifest') {
    const {reference} = route;
    const tag = isDigest(reference) ? {} : {tag: reference};
    if (method === 'PUT') events.add(by, {kind: 'manifest-pushed', repository, digest, ...tag});
    else if (method === 'DELETE' && isDigest(reference))
      events.add(by, {kind: 'manifest-deleted', repository, digest: reference});
    else if (tagged !== undefined)
      events.add(by, {kind: 'tag-deleted', repository, tag: reference, digest: tagged});
  } else if (route.kind === 'blob' && method === 'DELETE') {
    events.add(by, {kind: 'blob-deleted', repository, digest: route.digest});
  } else if (reply.status === 201) {
    const kind = query.has('mount') ? 'blob-mounted' : 'blob-pushed';
    events.add(by, {kind, repository, digest});
  }
  return reply;
}
