import type {Digest} from '../model/digest.ts';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  isManifestType,
  MANIFEST_SIZE_LIMIT,
  ManifestFormatError,
  OCI_INDEX,
  OCI_MANIFEST,
  readManifest,
  type StoredManifest,
} from './manifest-format.ts';
import type {RepositoryPath} from '../model/reference.ts';
import {
  bytesReply,
  emptyReply,
  type Exchange,
  jsonReply,
  methodRefused,
  nameUnknown,
  pageNotFound,
  type Refusal,
  type RefusalEntry,
  refusal,
  refusals,
  type Reply,
} from './exchange.ts';
import {isDigest} from './names.ts';
import type {Flavour, Registry} from './registry.ts';
import type {RouteOf} from './route.ts';

type ManifestRoute = RouteOf<'manifest'>;

/**
 * `/v2/<name>/manifests/<reference>` (distribution-spec, "Pulling manifests", "Pushing Manifests", "Deleting
 * Manifests").
 */
export async function answerManifest(
  registry: Registry,
  exchange: Exchange,
  route: ManifestRoute,
): Promise<Reply> {
  switch (exchange.method) {
    case 'GET':
    case 'HEAD':
      return pullManifest(registry, exchange, route);
    case 'PUT':
      return pushManifest(registry, exchange, route);
    case 'DELETE':
      return deleteManifest(registry, route);
    default:
      throw methodRefused('DELETE, GET, HEAD, PUT');
  }
}

async function pullManifest(
  registry: Registry,
  {headers}: Exchange,
  route: ManifestRoute,
): Promise<Reply> {
  const found = await find(registry, route);
  const chosen = negotiate(found, headers.accept ?? '', !isDigest(route.reference));
  const manifest =
    chosen === found.digest ? found : await find(registry, {...route, reference: chosen});
  const {digest, mediaType} = manifest;
  const etag = `"${digest}"`;
  // distribution: registry/handlers/manifests.go, `etagMatch`.
  const known = headers['if-none-match'];
  if (known === etag || known === digest) return {status: 304, headers: {}};
  const fields = {'docker-content-digest': digest, etag, 'content-type': mediaType};
  return bytesReply(200, manifest.bytes, fields);
}

async function pushManifest(
  registry: Registry,
  exchange: Exchange,
  {repository, reference}: ManifestRoute,
): Promise<Reply> {
  const {storage, flavour} = registry;
  const expected = isDigest(reference) ? reference : undefined;
  const manifest = await acceptManifest(exchange, expected, flavour);
  await requireChildren(registry, repository, manifest);
  await storage.manifests.put(repository, manifest, isDigest(reference) ? undefined : reference);
  const {digest, subject} = manifest;
  return emptyReply(201, {
    location: `${exchange.origin}/v2/${repository}/manifests/${digest}`,
    'docker-content-digest': digest,
    ...(subject !== undefined && flavour.referrers ? {'oci-subject': subject} : {}),
  });
}

/** By tag, deletes the tag only; by digest, the manifest with all its tags. */
async function deleteManifest(
  {storage, flavour}: Registry,
  {repository, reference}: ManifestRoute,
): Promise<Reply> {
  if (!flavour.delete || (!flavour.deleteByTag && !isDigest(reference)))
    throw refusal(405, 'UNSUPPORTED', 'The operation is unsupported.');
  if (!isDigest(reference) && !(await storage.hasRepository(repository)))
    throw nameUnknown(repository);
  const deleted = isDigest(reference)
    ? await storage.manifests.delete(repository, reference)
    : await storage.manifests.untag(repository, reference);
  if (!deleted) throw manifestUnknown(reference);
  return emptyReply(202);
}

async function find(
  {storage}: Registry,
  {repository, reference}: ManifestRoute,
): Promise<StoredManifest> {
  const digest: Digest | undefined = isDigest(reference)
    ? reference
    : await storage.manifests.resolve(repository, reference);
  const manifest = digest && (await storage.manifests.get(repository, digest));
  if (!manifest) throw manifestUnknown(reference);
  return manifest;
}

function manifestUnknown(reference: string): Refusal {
  return refusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown', {Tag: reference});
}

/**
 * Reads a pushed manifest. 413 for more than 4 MiB, as distribution-spec, "Pushing Manifests" requires (GitLab: 400).
 * A Content-Type that is unknown or missing stands for Docker's image manifest, and only OCI manifests may leave their
 * `mediaType` out (distribution: manifests.go, `UnmarshalManifest`; manifest/schema2, `UnmarshalJSON`).
 * @param expected the digest in the path
 * @throws Refusal MANIFEST_INVALID, DIGEST_INVALID; UNKNOWN for a schemaVersion that is not 2
 */
async function acceptManifest(
  {body, headers}: Exchange,
  expected: Digest | undefined,
  {artifactManifests}: Flavour,
): Promise<StoredManifest> {
  const bytes = await readBounded(body);
  const sent = headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? '';
  const contentType = isManifestType(sent) ? sent : DOCKER_MANIFEST;
  const manifest = parsed(bytes, contentType, expected);
  const {kind, mediaType, digest, schemaVersion, namesItsType} = manifest;
  if (kind === 'schema1' || (kind === 'artifact' && !artifactManifests))
    throw invalid('manifest type unsupported');
  if (contentType !== mediaType)
    throw invalid(`mediaType in manifest should be '${contentType}' not '${mediaType}'`);
  if (!namesItsType && mediaType !== OCI_MANIFEST && mediaType !== OCI_INDEX)
    throw invalid('no mediaType in manifest');
  if (expected !== undefined && digest !== expected)
    throw refusal(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
  if (schemaVersion !== 2 && kind !== 'artifact')
    throw refusal(500, 'UNKNOWN', 'unknown error', {});
  return manifest;
}

/**
 * Whatever a manifest refers to must be in the same repository, except its subject.
 * @throws Refusal MANIFEST_BLOB_UNKNOWN, with one entry for each reference that is missing
 */
async function requireChildren(
  {storage, flavour}: Registry,
  repository: RepositoryPath,
  {manifests, blobs}: StoredManifest,
): Promise<void> {
  const missing: Digest[] = [];
  for (const {digest} of manifests)
    if (!(await storage.manifests.has(repository, digest))) missing.push(digest);
  for (const {digest, urls} of blobs) {
    if (urls && urls.length > 0 && flavour.foreignLayers) continue;
    if ((await storage.blobs.size(repository, digest)) === undefined) missing.push(digest);
  }
  if (missing.length > 0) throw refusals(400, missing.map(blobUnknown));
}

/** The entry for something that a manifest refers to and that its repository does not have. */
export function blobUnknown(digest: Digest): RefusalEntry {
  return {code: 'MANIFEST_BLOB_UNKNOWN', message: 'blob unknown to registry', detail: digest};
}

async function readBounded(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > MANIFEST_SIZE_LIMIT) {
      const detail = `larger than ${MANIFEST_SIZE_LIMIT} bytes`;
      throw refusal(413, 'MANIFEST_INVALID', 'manifest invalid', detail);
    }
  }
  return Buffer.concat(chunks, size);
}

function parsed(
  bytes: Uint8Array,
  contentType: string | undefined,
  expected: Digest | undefined,
): StoredManifest {
  try {
    return readManifest(bytes, contentType, expected);
  } catch (error) {
    throw error instanceof ManifestFormatError ? invalid(`the manifest ${error.message}`) : error;
  }
}

function invalid(detail: string): Refusal {
  return refusal(400, 'MANIFEST_INVALID', 'manifest invalid', detail);
}

/**
 * The manifest to send for the one that was found, as registries of the distribution family choose
 * (registry/handlers/manifests.go, `GetManifest`): the client must name an OCI type, `*` + `/*` is not sufficient; a
 * client that requests a Docker list by tag and does not name lists gets its linux/amd64 image.
 * @throws Refusal MANIFEST_UNKNOWN
 */
function negotiate(found: StoredManifest, accept: string, byTag: boolean): Digest {
  const {kind, mediaType, digest} = found;
  const named = new Set(accept.split(',').map((type) => type.split(';')[0]?.trim().toLowerCase()));
  if (named.has(mediaType)) return digest;
  if (mediaType === OCI_MANIFEST) throw notAccepted('OCI manifest', 'OCI manifests');
  if (mediaType === OCI_INDEX) throw notAccepted('OCI index', 'OCI indexes');
  if (mediaType !== DOCKER_LIST || !byTag || kind !== 'index') return digest;
  const fallback = found.manifests.find(
    ({platform}) => platform?.os === 'linux' && platform.architecture === 'amd64',
  );
  if (fallback) return fallback.digest;
  throw manifestUnknown(digest);
}

function notAccepted(what: string, which: string): Refusal {
  return refusal(
    404,
    'MANIFEST_UNKNOWN',
    `${what} found, but accept header does not support ${which}`,
  );
}

/** `GET /v2/<name>/referrers/<digest>` (distribution-spec, "Listing Referrers"): an index, which may be empty. */
export async function answerReferrers(
  {storage, flavour}: Registry,
  exchange: Exchange,
  {repository, digest}: RouteOf<'referrers'>,
): Promise<Reply> {
  if (!flavour.referrers) throw pageNotFound();
  if (exchange.method !== 'GET') throw methodRefused('GET');
  const wanted = exchange.query.get('artifactType');
  const all = await storage.manifests.referrers(repository, digest);
  const manifests = all.filter(({artifactType}) => wanted === null || artifactType === wanted);
  return jsonReply(
    200,
    {schemaVersion: 2, mediaType: OCI_INDEX, manifests},
    {
      'content-type': OCI_INDEX,
      ...(wanted === null ? {} : {'oci-filters-applied': 'artifactType'}),
    },
  );
}
