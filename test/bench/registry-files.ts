import {createHash} from 'node:crypto';
import {mkdir, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {randomLayer} from './random-bytes.ts';

/*
 * Writes images into the directory of a docker-registry that is not running (distribution: registry/storage/paths.go):
 * pushing ten thousand images through HTTP would take longer than what is measured with them.
 */

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

export interface Estate {
  readonly repositories: number;
  readonly tagsEach: number;
}

interface Written {
  readonly mediaType: string;
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

/** Base images that all repositories are built on, in bytes. */
const BASES = 10;
const BASE_SIZE = 2 * 1024 * 1024;
/** Layers that some repositories have in common. */
const FRAMEWORKS = 100;
const FRAMEWORK_SIZE = 512 * 1024;
/** What each tag has alone. */
const OWN_SIZE = 16 * 1024;
/** One tag in so many is an index of two platforms. */
const INDEX_EVERY = 5;

/** Fills the directory with repositories whose images share layers as in real life. The same each time. */
export async function writeEstate(root: string, estate: Estate): Promise<void> {
  const files = new RegistryFiles(root);
  for (let at = 0; at < estate.repositories; at += 1) await writeRepository(files, at, estate);
}

/** The name of a repository: teams of ten. */
export function repositoryName(at: number): string {
  return `team-${String(Math.floor(at / 10)).padStart(2, '0')}/app-${at % 10}`;
}

async function writeRepository(
  files: RegistryFiles,
  at: number,
  {tagsEach}: Estate,
): Promise<void> {
  const name = repositoryName(at);
  const base = await files.blob(name, `base ${at % BASES}`, BASE_SIZE, LAYER);
  const framework = await files.blob(name, `framework ${at % FRAMEWORKS}`, FRAMEWORK_SIZE, LAYER);
  for (let tag = 1; tag <= tagsEach; tag += 1) await writeTag(files, name, tag, [base, framework]);
}

/** Puts one tag anew, as a push would. */
export async function writeTag(
  files: RegistryFiles,
  name: string,
  tag: number,
  layers: readonly Written[],
  seed = `${name} ${tag}`,
): Promise<void> {
  const image = async (architecture: string): Promise<Written> => {
    const own = await files.blob(name, `${seed} ${architecture}`, OWN_SIZE, LAYER);
    const config = await files.bytes(
      name,
      Buffer.from(JSON.stringify({architecture, os: 'linux', created: created(tag), seed})),
      CONFIG,
    );
    return await files.manifest(name, {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config,
      layers: [...layers, own],
    });
  };
  const amd64 = await image('amd64');
  if (tag % INDEX_EVERY !== 0) {
    await files.tag(name, `v1.${tag}.0`, amd64.digest);
    return;
  }
  const manifests = [
    {...amd64, platform: {os: 'linux', architecture: 'amd64'}},
    {...(await image('arm64')), platform: {os: 'linux', architecture: 'arm64'}},
  ];
  const index = await files.manifest(name, {schemaVersion: 2, mediaType: INDEX, manifests});
  await files.tag(name, `v1.${tag}.0`, index.digest);
}

function created(tag: number): string {
  return new Date(Date.UTC(2026, 0, 1) + tag * 86_400_000).toISOString();
}

/** The files of a registry. */
export class RegistryFiles {
  readonly #root: string;
  readonly #blobs = new Map<string, Written>();

  constructor(root: string) {
    this.#root = join(root, 'docker/registry/v2');
  }

  async blob(repository: string, seed: string, size: number, mediaType: string): Promise<Written> {
    const known = this.#blobs.get(seed);
    const bytes = known ? undefined : Buffer.concat([...randomLayer(seed, size)]);
    const blob = known ?? (await this.#store(bytes ?? Buffer.alloc(0), mediaType));
    this.#blobs.set(seed, blob);
    await this.#link(repository, `_layers/sha256/${hexOf(blob)}`, blob.digest);
    return blob;
  }

  async bytes(repository: string, bytes: Uint8Array, mediaType: string): Promise<Written> {
    const blob = await this.#store(bytes, mediaType);
    await this.#link(repository, `_layers/sha256/${hexOf(blob)}`, blob.digest);
    return blob;
  }

  async manifest(
    repository: string,
    content: Readonly<Record<string, unknown>> & {readonly mediaType: string},
  ): Promise<Written> {
    const blob = await this.#store(Buffer.from(JSON.stringify(content)), content.mediaType);
    await this.#link(repository, `_manifests/revisions/sha256/${hexOf(blob)}`, blob.digest);
    return blob;
  }

  async tag(repository: string, tag: string, digest: string): Promise<void> {
    await this.#link(repository, `_manifests/tags/${tag}/current`, digest);
    const hex = digest.slice(digest.indexOf(':') + 1);
    await this.#link(repository, `_manifests/tags/${tag}/index/sha256/${hex}`, digest);
  }

  async #store(bytes: Uint8Array, mediaType: string): Promise<Written> {
    const hex = createHash('sha256').update(bytes).digest('hex');
    await write(join(this.#root, 'blobs/sha256', hex.slice(0, 2), hex, 'data'), bytes);
    return {mediaType, digest: `sha256:${hex}`, size: bytes.byteLength};
  }

  async #link(repository: string, path: string, digest: string): Promise<void> {
    await write(join(this.#root, 'repositories', repository, path, 'link'), digest);
  }
}

function hexOf({digest}: Written): string {
  return digest.slice(digest.indexOf(':') + 1);
}

async function write(path: string, content: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), {recursive: true});
  await writeFile(path, content);
}
