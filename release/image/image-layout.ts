import {createHash} from 'node:crypto';
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {compress, packTree, type Tree} from '../tar.ts';

const TYPES = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  empty: 'application/vnd.oci.empty.v1+json',
} as const;

/** What names content (image-spec descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [key: string]: unknown;
}

/** A layer with the digest of its content before it was compressed, as configs have it. */
export interface Layer {
  readonly descriptor: Descriptor;
  readonly diffId: string;
}

/** How a container of an image runs (image-spec config.md). */
export interface RunConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly WorkingDir: string;
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Labels: Readonly<Record<string, string>>;
}

/** Writes an OCI image layout (image-spec image-layout.md). The same content gives the same bytes. */
export class ImageLayout {
  readonly #directory: string;
  readonly #time: Date;
  readonly #entries: Descriptor[] = [];

  /** @param time that the files of layers and the configs carry */
  constructor(directory: string, time: Date) {
    this.#directory = directory;
    this.#time = time;
  }

  async addLayer(tree: Tree): Promise<Layer> {
    const archive = await packTree(tree, this.#time);
    const descriptor = await this.addBlob(TYPES.layer, await compress(archive));
    return {descriptor, diffId: digestOf(archive)};
  }

  /** Adds the image of one platform. @returns its descriptor, for an index */
  async addImage(
    architecture: string,
    layers: readonly Layer[],
    run: RunConfig,
    annotations: Readonly<Record<string, string>>,
  ): Promise<Descriptor> {
    const config = await this.#addJson(TYPES.config, {
      created: this.#time.toISOString(),
      architecture,
      os: 'linux',
      config: run,
      rootfs: {type: 'layers', diff_ids: layers.map(({diffId}) => diffId)},
      history: layers.map(() => ({
        created: this.#time.toISOString(),
        created_by: 'transship release',
      })),
    });
    const manifest = await this.#addJson(TYPES.manifest, {
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      config,
      layers: layers.map(({descriptor}) => descriptor),
      annotations,
    });
    return {...manifest, platform: {architecture, os: 'linux'}};
  }

  /** Adds an index of images under a name. */
  async addIndex(
    name: string,
    manifests: readonly Descriptor[],
    annotations: Readonly<Record<string, string>>,
  ): Promise<Descriptor> {
    const document = {schemaVersion: 2, mediaType: TYPES.index, manifests, annotations};
    const index = await this.#addJson(TYPES.index, document);
    this.#entries.push({...index, annotations: {'org.opencontainers.image.ref.name': name}});
    return index;
  }

  /** Adds a document about an image, which registries list as its referrer (image-spec manifest.md, "artifact"). */
  async addReferrer(
    {mediaType, digest, size}: Descriptor,
    artifactType: string,
    document: Buffer,
    annotations: Readonly<Record<string, string>>,
  ): Promise<void> {
    const manifest = await this.#addJson(TYPES.manifest, {
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      artifactType,
      config: {...(await this.addBlob(TYPES.empty, Buffer.from('{}'))), data: 'e30='},
      layers: [await this.addBlob(artifactType, document)],
      subject: {mediaType, digest, size},
      annotations,
    });
    this.#entries.push({...manifest, artifactType});
  }

  async addBlob(mediaType: string, content: Uint8Array): Promise<Descriptor> {
    const digest = digestOf(content);
    const directory = join(this.#directory, 'blobs', 'sha256');
    await mkdir(directory, {recursive: true});
    await writeFile(join(directory, digest.replace('sha256:', '')), content);
    return {mediaType, digest, size: content.byteLength};
  }

  /** Writes what makes a layout of the content. */
  async finish(): Promise<void> {
    await writeFile(
      join(this.#directory, 'oci-layout'),
      JSON.stringify({imageLayoutVersion: '1.0.0'}),
    );
    const index = {schemaVersion: 2, mediaType: TYPES.index, manifests: this.#entries};
    await writeFile(join(this.#directory, 'index.json'), JSON.stringify(index));
  }

  async #addJson(mediaType: string, document: object): Promise<Descriptor> {
    return await this.addBlob(mediaType, Buffer.from(JSON.stringify(document)));
  }
}

function digestOf(content: Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
