import {createHash, randomBytes} from 'node:crypto';
import type {Digest} from '../../src/model/digest.ts';
import {OCI_MANIFEST} from '../../src/model/media-type.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** One request, its answer read to the end. */
export async function send(
  method: string,
  url: string,
  {headers = {}, body}: RequestOptions = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers,
    redirect: 'manual',
    ...(body === undefined ? {} : {body: Buffer.from(body)}),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  return {status: response.status, headers: response.headers, body: bytes};
}

export function json(answer: Answer): unknown {
  return JSON.parse(answer.body.toString());
}

/** The codes of an error answer. */
export function codes(answer: Answer): readonly string[] {
  return (json(answer) as {errors: {code: string}[]}).errors.map(({code}) => code);
}

export function locationOf({headers}: Answer): string {
  return headers.get('location') ?? '';
}

export function sha256(bytes: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** A blob like no other. */
export function someBlob(size = 100): {readonly bytes: Buffer; readonly digest: Digest} {
  const bytes = randomBytes(size);
  return {bytes, digest: sha256(bytes)};
}

/** @param repository `http://host/v2/name` */
export async function openUpload(repository: string): Promise<string> {
  return locationOf(await send('POST', `${repository}/blobs/uploads/`));
}

export async function pushBlob(repository: string, bytes: string | Uint8Array): Promise<Digest> {
  const digest = sha256(bytes);
  const put = `${await openUpload(repository)}&digest=${digest}`;
  const {status} = await send('PUT', put, {body: bytes});
  if (status !== 201) throw new Error(`the blob was answered with ${status}`);
  return digest;
}

export interface PushedImage {
  readonly digest: Digest;
  readonly config: Digest;
  readonly bytes: string;
  readonly answer: Answer;
}

/** Pushes an image without layers; what differs makes it another image. */
export async function pushImage(
  repository: string,
  reference?: string,
  more: object = {},
): Promise<PushedImage> {
  const config = await pushBlob(repository, '{}');
  const mediaType = 'application/vnd.oci.image.config.v1+json';
  const bytes = JSON.stringify({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: {mediaType, digest: config, size: 2},
    layers: [],
    ...more,
  });
  const digest = sha256(bytes);
  const answer = await putManifest(repository, reference ?? digest, bytes);
  return {digest, config, bytes, answer};
}

export async function putManifest(
  repository: string,
  reference: string,
  body: string,
  type: string = OCI_MANIFEST,
): Promise<Answer> {
  return send('PUT', `${repository}/manifests/${reference}`, {
    body,
    headers: {'content-type': type},
  });
}
