import {createHash} from 'node:crypto';

export interface ImageContent {
  /** ISO 8601. Default: the config does not say. */
  readonly created?: string;
  /** Default: one small layer. */
  readonly layers?: readonly Uint8Array[];
  /** Further fields of the manifest. */
  readonly manifest?: Readonly<Record<string, unknown>>;
  /** Pads the config to this many bytes. */
  readonly configSize?: number;
}

export interface PushedImage {
  readonly digest: string;
  readonly bytes: string;
  readonly config: {readonly digest: string; readonly size: number};
  readonly layers: readonly {readonly digest: string; readonly size: number}[];
}

const OCI = 'application/vnd.oci.image';

/** Makes an image for linux/amd64 and pushes it with nothing but `fetch`. Same content, same digest. */
export async function pushImage(
  baseUrl: string,
  repository: string,
  reference: string,
  {created, layers = [Buffer.from('layer')], manifest = {}, configSize = 0}: ImageContent = {},
): Promise<PushedImage> {
  const config = {os: 'linux', architecture: 'amd64', ...(created ? {created} : {})};
  const repositoryUrl = `${baseUrl}/v2/${repository}`;
  const described = {
    config: await pushBlob(
      repositoryUrl,
      `${OCI}.config.v1+json`,
      Buffer.from(JSON.stringify(config).padEnd(configSize)),
    ),
    layers: await Promise.all(
      layers.map((layer) => pushBlob(repositoryUrl, `${OCI}.layer.v1.tar`, layer)),
    ),
  };
  const mediaType = `${OCI}.manifest.v1+json`;
  const bytes = JSON.stringify({schemaVersion: 2, mediaType, ...described, ...manifest});
  await put(`${repositoryUrl}/manifests/${reference}`, mediaType, bytes);
  return {...described, digest: sha256(bytes), bytes};
}

export const OCI_INDEX_TYPE = `${OCI}.index.v1+json`;

/** Pushes an index of images that are there, each for an architecture of its own, and gives its digest. */
export async function pushIndex(
  baseUrl: string,
  repository: string,
  reference: string,
  images: readonly Pick<PushedImage, 'digest' | 'bytes'>[],
): Promise<string> {
  const manifests = images.map(({digest, bytes}, at) => ({
    mediaType: `${OCI}.manifest.v1+json`,
    digest,
    size: bytes.length,
    platform: {os: 'linux', architecture: ['amd64', 'arm64', 's390x'][at] ?? `arch${at}`},
  }));
  const bytes = JSON.stringify({schemaVersion: 2, mediaType: OCI_INDEX_TYPE, manifests});
  await put(`${baseUrl}/v2/${repository}/manifests/${reference}`, OCI_INDEX_TYPE, bytes);
  return sha256(bytes);
}

/** Puts bytes under a tag or digest as they are. */
export async function put(url: string, type: string, body: string): Promise<void> {
  const answer = await fetch(url, {method: 'PUT', body, headers: {'content-type': type}});
  if (answer.status !== 201) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
}

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

async function pushBlob(repositoryUrl: string, mediaType: string, bytes: Uint8Array) {
  const digest = sha256(bytes);
  const opened = await fetch(`${repositoryUrl}/blobs/uploads/`, {method: 'POST'});
  await opened.arrayBuffer();
  const location = new URL(opened.headers.get('location') ?? '', repositoryUrl);
  location.searchParams.set('digest', digest);
  const answer = await fetch(location, {method: 'PUT', body: Buffer.from(bytes)});
  if (answer.status !== 201) throw new Error(`${location.href}: ${answer.status}`);
  return {mediaType, digest, size: bytes.byteLength};
}
