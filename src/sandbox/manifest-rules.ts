import {asTransshipError} from '../model/error.ts';
import type {Digest} from '../model/digest.ts';
import {
  childBlobs,
  childManifests,
  type Manifest,
  MANIFEST_LIMIT,
  parseManifest,
} from '../model/manifest.ts';
import type {RepositoryPath} from '../model/reference.ts';
import type {Exchange} from './exchange.ts';
import type {Flavour} from './flavour.ts';
import type {Registry} from './registry.ts';
import {Refusal, refusal} from './refusal.ts';

/**
 * Reads a pushed manifest. More than 4 MiB are 413, as distribution-spec, "Pushing Manifests" asks (GitLab: 400).
 * @param expected the digest it is pushed under
 * @throws Refusal MANIFEST_INVALID, DIGEST_INVALID
 */
export async function readManifest(
  {body, headers}: Exchange,
  expected: Digest | undefined,
  {artifactManifests}: Flavour,
): Promise<Manifest> {
  const bytes = await readBounded(body);
  const contentType = headers['content-type']?.split(';')[0]?.trim();
  const manifest = parsed(bytes, contentType, expected);
  const {mediaType, digest} = manifest.descriptor;
  const {kind} = manifest.view;
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
export async function requireChildren(
  {storage, flavour}: Registry,
  repository: RepositoryPath,
  {view}: Manifest,
): Promise<void> {
  const missing = new Set<Digest>();
  for (const {digest} of childManifests(view)) {
    if (!(await storage.manifests.has(repository, digest))) missing.add(digest);
  }
  for (const {digest, urls} of childBlobs(view)) {
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
    if (size > MANIFEST_LIMIT) {
      const message = `a manifest may have ${MANIFEST_LIMIT} bytes at most`;
      throw refusal(413, 'MANIFEST_INVALID', message);
    }
  }
  return Buffer.concat(chunks, size);
}

function parsed(
  bytes: Uint8Array,
  contentType: string | undefined,
  expected: Digest | undefined,
): Manifest {
  try {
    return parseManifest(bytes, contentType, expected, 'local');
  } catch (error) {
    throw invalid(asTransshipError(error, 'local').message);
  }
}

function invalid(message: string): Refusal {
  return refusal(400, 'MANIFEST_INVALID', message);
}
