import {randomBytes} from 'node:crypto';
import {type Digest, digestOf} from '../../src/model/digest.ts';
import {OCI_MANIFEST} from '../../src/model/media-type.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {readManifest} from '../../src/sandbox/manifest-format.ts';
import type {Storage} from '../../src/sandbox/storage.ts';
import {streamOf} from './streams.ts';

const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const CONFIG = 'application/vnd.oci.image.config.v1+json';

/** Puts a blob into the storage of a sandbox, past its HTTP. */
async function storeBlob(
  {blobs, uploads}: Storage,
  repository: RepositoryPath,
  bytes: Uint8Array,
): Promise<Digest> {
  const digest = digestOf(bytes);
  const id = await uploads.begin(repository);
  await uploads.append(repository, id, streamOf([bytes]));
  await uploads.commit(repository, id, digest);
  await blobs.link(repository, digest);
  return digest;
}

/** Puts an image of these layers under a tag and gives its digest. */
export async function storeImage(
  storage: Storage,
  repository: RepositoryPath,
  tag: string,
  layers: readonly Uint8Array[],
  configType = CONFIG,
): Promise<Digest> {
  const config = Buffer.from(JSON.stringify({architecture: 'amd64', os: 'linux', tag}));
  await storeBlob(storage, repository, config);
  for (const layer of layers) await storeBlob(storage, repository, layer);
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: entry(configType, config),
    layers: layers.map((layer) => entry(LAYER, layer)),
  };
  const stored = readManifest(Buffer.from(JSON.stringify(manifest)), OCI_MANIFEST, undefined);
  await storage.manifests.put(repository, stored, tag as Tag);
  return stored.digest;
}

function entry(mediaType: string, bytes: Uint8Array) {
  return {mediaType, digest: digestOf(bytes), size: bytes.byteLength};
}

/** Bytes that nobody else has. */
export function someBytes(size: number): Buffer {
  return randomBytes(size);
}
