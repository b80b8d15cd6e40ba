import type {Digest} from '../../model/digest.ts';
import type {RepositoryPath, Tag} from '../../model/reference.ts';
import {type Exchange, refusal, type Reply} from '../exchange.ts';
import {isDigest} from '../names.ts';
import type {RouteOf} from '../route.ts';
import type {Instance} from './instance.ts';
import {MANIFEST_SIZE_LIMIT, readManifest, type StoredManifest} from '../manifest-format.ts';
import {isKnownMediaType} from './media-types.ts';
import type {TagLimits} from './registry-tokens.ts';
import {matchesTag} from './rights.ts';

/**
 * Keeps protected and immutable tags as they are. The registry answers 401 even to authenticated clients (GitLab
 * container registry: registry/handlers/manifests.go, docs/spec/gitlab/http-api/errors.md).
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
      const message = 'manifest may be used by a protected tag';
      throw refusal(401, 'PROTECTED_MANIFEST', message, {digest: reference});
    }
    return;
  }
  const denied = method === 'DELETE' ? limits.delete : limits.push;
  if (denied.some((pattern) => matchesTag(pattern, reference)))
    throw refusal(401, 'PROTECTED_TAG', 'insufficient permissions to alter tag', {tag: reference});
  const exists = (await storage.manifests.resolve(repository, reference)) !== undefined;
  if (exists && limits.immutable.some((pattern) => matchesTag(pattern, reference)))
    throw refusal(401, 'IMMUTABLE_TAG', 'tag is immutable', {tag: reference});
}

/**
 * With its database the registry knows the media types that it takes, and wants a subject before what refers to it
 * (GitLab container registry: docs/supported-media-types.md, registry/handlers/manifests.go). Takes the body and puts
 * it back.
 * @throws Refusal MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN
 */
export async function checkManifest(
  {mode, storage}: Instance,
  exchange: Exchange,
  {repository}: RouteOf<'manifest'>,
): Promise<void> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of exchange.body) {
    chunks.push(chunk);
    size += chunk.byteLength;
    // GitLab container registry: registry/handlers/manifests.go, `maxManifestBodySize`; others answer 413.
    if (size > MANIFEST_SIZE_LIMIT)
      throw refusal(400, 'MANIFEST_INVALID', 'payload limit exceeded');
  }
  exchange.body = again(chunks);
  const manifest = readable(Buffer.concat(chunks), exchange.headers['content-type']);
  if (mode === 'legacy' || !manifest || manifest.kind === 'schema1') return;
  const {mediaType, config, artifactType, subject} = manifest;
  for (const type of [mediaType, config?.mediaType, artifactType]) {
    if (type !== undefined && type !== '' && !isKnownMediaType(type)) {
      const detail = `unknown media type: ${type}`;
      throw refusal(400, 'MANIFEST_INVALID', 'manifest invalid', detail);
    }
  }
  if (subject !== undefined && !(await storage.manifests.has(repository, subject)))
    throw refusal(400, 'MANIFEST_BLOB_UNKNOWN', 'blob unknown to registry', {digest: subject});
}

/**
 * A manifest that an index lists cannot be deleted, as long as there is a database to know it by.
 * @throws Refusal MANIFEST_REFERENCED
 */
export async function requireDeletable(
  {mode, storage}: Instance,
  repository: RepositoryPath,
  digest: Digest,
): Promise<void> {
  if (mode === 'legacy') return;
  for (const tag of await storage.manifests.tags(repository)) {
    const root = await storage.manifests.resolve(repository, tag);
    const manifest = root && (await storage.manifests.get(repository, root));
    if (manifest?.manifests.some((child) => child.digest === digest)) {
      const message = 'manifest referenced by a manifest list';
      throw refusal(409, 'MANIFEST_REFERENCED', message, digest);
    }
  }
}

/** What cannot be read is refused further on, with a better reason. */
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

/** Answers a request of the registry, and writes down what it changed. */
export async function recordWrite(
  instance: Instance,
  {method, route, query}: Exchange,
  by: string,
  answer: () => Promise<Reply>,
): Promise<Reply> {
  const {events} = instance;
  const tagged =
    route.kind === 'manifest' && method === 'DELETE' && !isDigest(route.reference)
      ? await digestOf(instance, route.repository, route.reference)
      : undefined;
  const reply = await answer();
  if (reply.status >= 300) return reply;
  const named = reply.headers['docker-content-digest'];
  const digest = typeof named === 'string' ? named : '';
  switch (route.kind) {
    case 'manifest': {
      const {repository, reference} = route;
      const tag = isDigest(reference) ? undefined : reference;
      if (method === 'PUT') {
        const what = {repository, digest, ...(tag === undefined ? {} : {tag})};
        events.add(by, {kind: 'manifest-pushed', ...what});
      } else if (method === 'DELETE' && tag === undefined) {
        events.add(by, {kind: 'manifest-deleted', repository, digest: reference});
      } else if (method === 'DELETE' && tag !== undefined && tagged !== undefined) {
        events.add(by, {kind: 'tag-deleted', repository, tag, digest: tagged});
      }
      break;
    }
    case 'uploads':
    case 'upload':
      if (reply.status === 201) {
        const kind = query.has('mount') ? 'blob-mounted' : 'blob-pushed';
        events.add(by, {kind, repository: route.repository, digest});
      }
      break;
    case 'blob':
      if (method === 'DELETE')
        events.add(by, {kind: 'blob-deleted', repository: route.repository, digest: route.digest});
      break;
    case 'token':
    case 'base':
    case 'catalog':
    case 'tags':
    case 'referrers':
    case 'unknown':
    case 'invalid':
      break;
  }
  return reply;
}

async function digestOf(
  {storage}: Instance,
  repository: RepositoryPath,
  tag: Tag,
): Promise<Digest | undefined> {
  return storage.manifests.resolve(repository, tag);
}
