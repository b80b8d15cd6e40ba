import type {Digest} from '../model/digest.ts';
import {
  DOCKER_LIST,
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
  Refusal,
  refusal,
  type Reply,
} from './exchange.ts';
import {isDigest} from './names.ts';
import type {Flavour, Registry} from './registry.ts';
import type {RouteOf} from './route.ts';

type ManifestRoute = RouteOf<'manifest'>;

/** `/v2/<name>/manifests/<reference>` (distribution-spec, "Pulling manifests", "Pushing Manifests", "Deleting Manifests"). */
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
      throw methodRefused(exchange);
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
  const fields = {'docker-content-digest': digest, etag: `"${digest}"`};
  if (headers['if-none-match'] === fields.etag) return emptyReply(304, fields);
  return bytesReply(200, manifest.bytes, {...fields, 'content-type': mediaType});
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

/** By tag the tag alone goes; by digest the manifest with all its tags. */
async function deleteManifest(
  {storage, flavour}: Registry,
  {repository, reference}: ManifestRoute,
): Promise<Reply> {
  if (!flavour.delete || (!flavour.deleteByTag && !isDigest(reference)))
    throw refusal(405, 'UNSUPPORTED', 'deletion is disabled', reference);
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
  return refusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown', reference);
}

/**
 * Reads a pushed manifest. More than 4 MiB are 413, as distribution-spec, "Pushing Manifests" asks (GitLab: 400).
 * @param expected the digest it is pushed under
 * @throws Refusal MANIFEST_INVALID, DIGEST_INVALID
 */
async function acceptManifest(
  {body, headers}: Exchange,
  expected: Digest | undefined,
  {artifactManifests}: Flavour,
): Promise<StoredManifest> {
  const bytes = await readBounded(body);
  const contentType = headers['content-type']?.split(';')[0]?.trim();
  const manifest = parsed(bytes, contentType, expected);
  const {kind, mediaType, digest} = manifest;
  if (kind === 'schema1' || (kind === 'artifact' && !artifactManifests))
    throw invalid('manifest type unsupported');
  if (contentType !== undefined && contentType !== mediaType)
    throw invalid(`the Content-Type is ${contentType}, the manifest says ${mediaType}`);
  if (expected !== undefined && digest !== expected) {
    const message = 'provided digest did not match uploaded content';
    throw refusal(400, 'DIGEST_INVALID', message, digest);
  }
  return manifest;
}

/**
 * All that a manifest lists has to be in the same repository; its subject need not.
 * @throws Refusal MANIFEST_BLOB_UNKNOWN, with one entry for each that is missing
 */
async function requireChildren(
  {storage, flavour}: Registry,
  repository: RepositoryPath,
  {manifests, blobs}: StoredManifest,
): Promise<void> {
  const missing = new Set<Digest>();
  for (const {digest} of manifests) {
    if (!(await storage.manifests.has(repository, digest))) missing.add(digest);
  }
  for (const {digest, urls} of blobs) {
    if (urls && urls.length > 0 && flavour.foreignLayers) continue;
    if ((await storage.blobs.size(repository, digest)) === undefined) missing.add(digest);
  }
  if (missing.size === 0) return;
  throw new Refusal(
    400,
    [...missing].map((digest) => ({
      code: 'MANIFEST_BLOB_UNKNOWN',
      message: 'manifest references a manifest or blob unknown to registry',
      detail: {digest},
    })),
  );
}

async function readBounded(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > MANIFEST_SIZE_LIMIT) {
      const message = `the manifest is larger than ${MANIFEST_SIZE_LIMIT} bytes`;
      throw refusal(413, 'MANIFEST_INVALID', message);
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

function invalid(message: string): Refusal {
  return refusal(400, 'MANIFEST_INVALID', message);
}

/**
 * Which manifest to send for the one that was found, as registries of the distribution family choose
 * (registry/handlers/manifests.go, `GetManifest`): an OCI type has to be named, `*` + `/*` does not do; a Docker list
 * that was asked for by tag becomes its linux/amd64 image for those who do not name lists.
 * @throws Refusal MANIFEST_UNKNOWN
 */
function negotiate(found: StoredManifest, accept: string, byTag: boolean): Digest {
  const {kind, mediaType, digest} = found;
  const named = new Set(accept.split(',').map((type) => type.split(';')[0]?.trim()));
  if (named.has(mediaType)) return digest;
  if (mediaType === OCI_MANIFEST) throw notAccepted('OCI manifest', 'OCI manifests');
  if (mediaType === OCI_INDEX) throw notAccepted('OCI index', 'OCI indexes');
  if (mediaType !== DOCKER_LIST || !byTag || kind !== 'index') return digest;
  const fallback = found.manifests.find(
    ({platform}) => platform?.os === 'linux' && platform.architecture === 'amd64',
  );
  if (fallback) return fallback.digest;
  throw refusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown: no image for linux/amd64', digest);
}

function notAccepted(what: string, which: string): Refusal {
  return refusal(
    404,
    'MANIFEST_UNKNOWN',
    `${what} found, but accept header does not support ${which}`,
  );
}

/** `GET /v2/<name>/referrers/<digest>` (distribution-spec, "Listing Referrers"): an index, empty where there are none. */
export async function answerReferrers(
  {storage, flavour}: Registry,
  exchange: Exchange,
  {repository, digest}: RouteOf<'referrers'>,
): Promise<Reply> {
  if (!flavour.referrers) throw refusal(404, 'UNKNOWN', 'the referrers API is not supported');
  if (exchange.method !== 'GET') throw methodRefused(exchange);
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
