import {createHash} from 'node:crypto';
import PQueue from 'p-queue';
import {randomLayer} from './random-bytes.ts';

/** What a source repository is filled with. Sizes in bytes. */
export interface ContentSpec {
  /** Images, each with one tag. */
  readonly tags: number;
  /** Layers that all images have. */
  readonly shared: {readonly count: number; readonly size: number};
  /** Layers of each image alone, besides its config. */
  readonly own: {readonly count: number; readonly size: number};
}

/** What was pushed. */
export interface Content {
  readonly repository: string;
  /** Digest of the manifest, by tag. */
  readonly tags: ReadonlyMap<string, string>;
  /** Every distinct blob. */
  readonly blobs: readonly Blob[];
}

interface Blob {
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
const AT_ONCE = 8;

/** Pushes images of random bytes, the same for the same spec. @throws Error where the registry refuses something */
export async function pushContent(
  baseUrl: string,
  repository: string,
  {tags, shared, own}: ContentSpec,
): Promise<Content> {
  const base = `${baseUrl}/v2/${repository}`;
  const blobs: Blob[] = [];
  const digests = new Map<string, string>();
  const push = async (bytes: Iterable<Uint8Array<ArrayBuffer>>): Promise<Blob> => {
    const blob = await pushBlob(base, bytes);
    blobs.push(blob);
    return blob;
  };
  const pushLayers = (name: string, count: number, size: number): Promise<Blob[]> =>
    Promise.all(Array.from({length: count}, (_, at) => push(randomLayer(`${name} ${at}`, size))));

  const sharedLayers = await pushLayers('shared', shared.count, shared.size);
  await new PQueue({concurrency: AT_ONCE}).addAll(
    Array.from({length: tags}, (_, at) => async () => {
      const tag = `v${at + 1}`;
      const layers = [...sharedLayers, ...(await pushLayers(tag, own.count, own.size))];
      const config = await push([toBytes(imageConfig(tag, layers))]);
      digests.set(tag, await pushManifest(base, tag, config, layers));
    }),
  );
  return {repository, tags: digests, blobs};
}

/** @returns one line for each tag that does not point to what it should */
export async function findDifferences(baseUrl: string, content: Content): Promise<string[]> {
  const differences: string[] = [];
  await new PQueue({concurrency: AT_ONCE}).addAll(
    [...content.tags].map(([tag, digest]) => async () => {
      const answer = await fetch(`${baseUrl}/v2/${content.repository}/manifests/${tag}`, {
        method: 'HEAD',
        headers: {accept: MANIFEST, 'user-agent': 'probe-bench'},
      });
      const found = answer.headers.get('docker-content-digest');
      if (found !== digest) differences.push(`${tag} is ${found}, not ${digest}`);
    }),
  );
  return differences;
}

async function pushBlob(base: string, bytes: Iterable<Uint8Array<ArrayBuffer>>): Promise<Blob> {
  const hash = createHash('sha256');
  let size = 0;
  let location = await send(`${base}/blobs/uploads/`, 'POST', 202);
  for (const chunk of bytes) {
    hash.update(chunk);
    size += chunk.byteLength;
    location = await send(location, 'PATCH', 202, chunk);
  }
  const digest = `sha256:${hash.digest('hex')}`;
  const url = new URL(location);
  url.searchParams.set('digest', digest);
  await send(url.href, 'PUT', 201);
  return {digest, size};
}

async function pushManifest(
  base: string,
  tag: string,
  config: Blob,
  layers: readonly Blob[],
): Promise<string> {
  const manifest = toBytes({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: {mediaType: CONFIG, ...config},
    layers: layers.map((layer) => ({mediaType: LAYER, ...layer})),
  });
  await send(`${base}/manifests/${tag}`, 'PUT', 201, manifest, MANIFEST);
  return `sha256:${createHash('sha256').update(manifest).digest('hex')}`;
}

function imageConfig(tag: string, layers: readonly Blob[]): object {
  return {
    architecture: 'amd64',
    os: 'linux',
    config: {Labels: {version: tag}},
    rootfs: {type: 'layers', diff_ids: layers.map(({digest}) => digest)},
  };
}

function toBytes(json: object): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(json));
}

/** @returns the answer's location */
async function send(
  url: string,
  method: string,
  status: number,
  body?: Uint8Array<ArrayBuffer>,
  type = 'application/octet-stream',
): Promise<string> {
  const answer = await fetch(url, {
    method,
    headers: {'content-type': type},
    ...(body === undefined ? {} : {body}),
  });
  const text = await answer.text();
  if (answer.status !== status) throw new Error(`${method} ${url}: ${answer.status} ${text}`);
  return new URL(answer.headers.get('location') ?? '', url).href;
}
