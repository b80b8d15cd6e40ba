import {isDigestOf, LayoutFiles, type LayoutManifest, tagOf} from './layout-files.ts';

/**
 * A registry client that shares nothing with ours: whole bodies, one request after the other. What it pushes and what
 * it finds does not depend on the code under test.
 */

const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.artifact.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
].join(', ');

export interface IndependentOptions {
  /** Only these tags. Default: all that `index.json` lists, with and without a tag. */
  readonly tags?: readonly string[];
  /** The value of the Authorization header. */
  readonly authorization?: string;
}

export interface PushReport {
  /** Tags that were accepted. */
  readonly tags: readonly string[];
  /** What the registry refused, by tag, or by digest where there is no tag. */
  readonly refused: ReadonlyMap<string, string>;
}

/**
 * Pushes a layout byte for byte: blobs, manifests children first by digest, tags last.
 * @param baseUrl `http://host:port`
 * @throws Error where the registry refuses something, unless `allowRefused`
 */
export async function pushLayout(
  directory: string,
  baseUrl: string,
  repository: string,
  options: IndependentOptions & {readonly allowRefused?: boolean} = {},
): Promise<PushReport> {
  const layout = await LayoutFiles.open(directory);
  const client = new Client(baseUrl, repository, options.authorization);
  const tags: string[] = [];
  const refused = new Map<string, string>();
  for (const entry of layout.entries) {
    const tag = tagOf(entry);
    if (options.tags !== undefined && !(tag !== undefined && options.tags.includes(tag))) continue;
    try {
      for (const manifest of await layout.walk(entry)) {
        for (const digest of manifest.blobs)
          await client.putBlob(digest, await layout.read(digest));
        await client.putManifest(manifest.digest, manifest);
        if (manifest.digest === entry.digest && tag !== undefined)
          await client.putManifest(tag, manifest);
      }
      if (tag !== undefined) tags.push(tag);
    } catch (error) {
      if (options.allowRefused !== true || !(error instanceof Refused)) throw error;
      refused.set(tag ?? entry.digest, error.message);
    }
  }
  return {tags, refused};
}

export interface VerifyReport {
  /** One line for each thing that is not as in the layout; none: all is there. */
  readonly problems: readonly string[];
  readonly manifests: number;
  readonly blobs: number;
}

/** Fetches all of a layout from a registry and compares bytes, media types, digests and, if asked, the list of tags. */
export async function verifyLayout(
  directory: string,
  baseUrl: string,
  repository: string,
  options: IndependentOptions & {readonly exactTags?: boolean} = {},
): Promise<VerifyReport> {
  const layout = await LayoutFiles.open(directory);
  const client = new Client(baseUrl, repository, options.authorization);
  const problems: string[] = [];
  const manifests = new Set<string>();
  const blobs = new Set<string>();
  const wanted: string[] = [];
  const check = async (what: () => Promise<string | undefined>): Promise<void> => {
    try {
      const problem = await what();
      if (problem !== undefined) problems.push(problem);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      problems.push(error.message);
    }
  };
  for (const entry of layout.entries) {
    const tag = tagOf(entry);
    if (options.tags !== undefined && !(tag !== undefined && options.tags.includes(tag))) continue;
    if (tag !== undefined) wanted.push(tag);
    for (const manifest of await layout.walk(entry)) {
      const names = manifest.digest === entry.digest && tag !== undefined ? [tag] : [];
      if (!manifests.has(manifest.digest)) names.push(manifest.digest);
      manifests.add(manifest.digest);
      for (const name of names)
        await check(async () => await client.compareManifest(name, manifest));
      for (const digest of manifest.blobs) {
        if (blobs.has(digest)) continue;
        blobs.add(digest);
        await check(async () => await client.compareBlob(digest, await layout.read(digest)));
      }
    }
  }
  for (const tag of options.tags ?? [])
    if (!wanted.includes(tag)) problems.push(`${tag}: the layout has no such tag`);
  if (options.exactTags === true) {
    await check(async () => {
      const there = (await client.tags()).sort();
      return there.join() === wanted.sort().join() ? undefined : `tags are ${there.join()}`;
    });
  }
  return {problems, manifests: manifests.size, blobs: blobs.size};
}

/** The registry gave another status than the one asked for. */
class Refused extends Error {}

class Client {
  readonly #base: string;
  readonly #headers: Record<string, string>;
  readonly #put = new Set<string>();

  constructor(baseUrl: string, repository: string, authorization: string | undefined) {
    this.#base = `${baseUrl}/v2/${repository}`;
    this.#headers = authorization === undefined ? {} : {authorization};
  }

  async putBlob(digest: string, bytes: Buffer | undefined): Promise<void> {
    if (bytes === undefined || this.#put.has(digest)) return;
    const opened = await this.#send('POST', '/blobs/uploads/', 202);
    const location = new URL(opened.headers.get('location') ?? '', this.#base);
    location.searchParams.set('digest', digest);
    const type = {'content-type': 'application/octet-stream'};
    await this.#send('PUT', location, 201, {body: new Uint8Array(bytes), headers: type});
    this.#put.add(digest);
  }

  async putManifest(reference: string, {mediaType, bytes}: LayoutManifest): Promise<void> {
    await this.#send('PUT', `/manifests/${reference}`, 201, {
      body: new Uint8Array(bytes),
      headers: {'content-type': mediaType},
    });
  }

  async compareManifest(reference: string, manifest: LayoutManifest): Promise<string | undefined> {
    const headers = {accept: ACCEPT};
    const {body, ...answer} = await this.#send('GET', `/manifests/${reference}`, 200, {headers});
    if (!body.equals(manifest.bytes)) return `${reference}: the bytes differ`;
    if (!isDigestOf(manifest.digest, body)) return `${reference}: the layout's digest is wrong`;
    const type = answer.headers.get('content-type')?.split(';')[0];
    if (type !== manifest.mediaType) return `${reference}: the media type is ${type}`;
    const digest = answer.headers.get('docker-content-digest') ?? '';
    if (digest.startsWith('sha256:') && digest !== manifest.digest)
      return `${reference}: Docker-Content-Digest is ${digest}`;
    return undefined;
  }

  async compareBlob(digest: string, expected: Buffer | undefined): Promise<string | undefined> {
    const {body} = await this.#send('GET', `/blobs/${digest}`, 200);
    const same = expected !== undefined && body.equals(expected) && isDigestOf(digest, body);
    return same ? undefined : `blob ${digest}: the bytes differ`;
  }

  async tags(): Promise<string[]> {
    const {body} = await this.#send('GET', '/tags/list?n=10000', 200);
    return (JSON.parse(body.toString()) as {tags: string[] | null}).tags ?? [];
  }

  async #send(
    method: string,
    target: string | URL,
    status: number,
    init: {readonly body?: Uint8Array<ArrayBuffer>; readonly headers?: Record<string, string>} = {},
  ): Promise<{readonly headers: Headers; readonly body: Buffer}> {
    const url = typeof target === 'string' ? `${this.#base}${target}` : target;
    const headers = {...this.#headers, ...init.headers};
    const response = await fetch(url, {...init, method, headers});
    const body = Buffer.from(await response.arrayBuffer());
    if (response.status === status) return {headers: response.headers, body};
    const path = typeof target === 'string' ? target : target.pathname;
    throw new Refused(`${method} ${path}: ${response.status} ${body.toString().slice(0, 300)}`);
  }
}
