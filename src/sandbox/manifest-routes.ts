import {type Digest, isDigest} from '../model/digest.ts';
import type {Manifest} from '../model/manifest.ts';
import {negotiate} from './accept.ts';
import type {Exchange} from './exchange.ts';
import {readManifest, requireChildren} from './manifest-rules.ts';
import {methodRefused, type Registry} from './registry.ts';
import {type Refusal, refusal} from './refusal.ts';
import {bytesReply, emptyReply, type Reply} from './reply.ts';
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
    chosen === found.descriptor.digest
      ? found
      : await find(registry, {...route, reference: chosen});
  const {digest, mediaType} = manifest.descriptor;
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
  const manifest = await readManifest(exchange, expected, flavour);
  await requireChildren(registry, repository, manifest);
  await storage.manifests.put(repository, manifest, isDigest(reference) ? undefined : reference);
  const {digest} = manifest.descriptor;
  const subject = manifest.view.kind === 'schema1' ? undefined : manifest.view.subject?.digest;
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
    throw refusal(405, 'UNSUPPORTED', 'deleting is switched off', reference);
  const deleted = isDigest(reference)
    ? await storage.manifests.delete(repository, reference)
    : await storage.manifests.untag(repository, reference);
  if (!deleted) throw manifestUnknown(reference);
  return emptyReply(202);
}

async function find(
  {storage}: Registry,
  {repository, reference}: ManifestRoute,
): Promise<Manifest> {
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
