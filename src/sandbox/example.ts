import {createHash} from 'node:crypto';
import {Readable} from 'node:stream';
import {buffer} from 'node:stream/consumers';
import {gzipSync} from 'node:zlib';
import {pack} from 'tar-stream';
import type {Digest} from '../model/digest.ts';
import type {RepositoryPath, Tag} from '../model/reference.ts';
import type {SeedInput} from './gitlab/seed.ts';
import {OCI_INDEX, OCI_MANIFEST, readManifest} from './manifest-format.ts';
import type {Storage} from './storage.ts';

/*
 * The content of `--example`: images to copy and a project to transfer.
 */

/** The images of the registry, with the tags of each. */
const IMAGES = [
  ['team/app', ['1.0']],
  ['team/app', ['1.1', 'latest']],
  ['team/worker', ['2.0', 'latest']],
] as const;

/** The instance of `plans/sandbox.yaml`, with a generated image instead of one from a directory. */
export const EXAMPLE_SEED: SeedInput = {
  users: [
    {name: 'root', password: 'sandbox-root', admin: true},
    {name: 'ada', password: 'sandbox-ada'},
    {name: 'dev', password: 'sandbox-dev'},
  ],
  groups: [
    {path: 'org/build', members: {ada: 'owner', dev: 'developer'}},
    {path: 'new_org/build', members: {ada: 'owner'}},
    {path: 'donors', members: {ada: 'maintainer'}},
  ],
  projects: [
    {
      path: 'org/build/sample_project',
      cleanup: {
        enabled: true,
        cadence: '1month',
        keep_n: 5,
        older_than: '30d',
        name_regex: '.*',
        name_regex_keep: 'v.*',
      },
      images: [{name: 'cr', tag: 'v2.9.1'}],
    },
  ],
  tokens: [
    {value: 'sandbox-owner', user: 'ada', scopes: ['api']},
    {value: 'sandbox-registry', user: 'ada', scopes: ['read_registry', 'write_registry']},
    {value: 'sandbox-reader', user: 'ada', scopes: ['read_api', 'read_registry']},
    {value: 'sandbox-developer', user: 'dev', scopes: ['api']},
    {value: 'sandbox-job', kind: 'job', user: 'ada', project: 'org/build/sample_project'},
  ],
};

/** A transfer that the example instance permits, and a token with the rights for it. */
export const EXAMPLE_MOVE = {
  project: 'org/build/sample_project',
  to: 'new_org/build/',
  token: 'sandbox-owner',
};

const TYPES = {
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const;

const ARCHITECTURES = ['amd64', 'arm64'] as const;

/** Bytes of the files in the layers: in the layer that all images of a platform share, and in that of the program. */
const SIZES = {base: 1024 * 1024, program: 256 * 1024};

interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

/** Stores the example images. @returns the repositories, with their tags */
export async function putExamples(
  storage: Storage,
): Promise<ReadonlyMap<RepositoryPath, readonly Tag[]>> {
  const put = new Map<RepositoryPath, readonly Tag[]>();
  for (const [name, names] of IMAGES) {
    const [repository, tags] = [name as RepositoryPath, names as readonly string[] as Tag[]];
    await putExample(storage, repository, tags);
    put.set(repository, [...(put.get(repository) ?? []), ...tags]);
  }
  return put;
}

/** Stores an image for two platforms under tags. Its content depends only on the repository and the first tag. */
export async function putExample(
  storage: Storage,
  repository: RepositoryPath,
  tags: readonly Tag[],
): Promise<void> {
  const name = `${repository}:${tags[0] ?? ''}`;
  const manifests = await Promise.all(
    ARCHITECTURES.map(async (architecture) => {
      const layers = [
        await layerOf('lib/base', `base ${architecture}`, SIZES.base),
        await layerOf('bin/program', `${name} ${architecture}`, SIZES.program),
      ];
      const config = Buffer.from(
        JSON.stringify({
          created: '2026-01-01T00:00:00Z',
          architecture,
          os: 'linux',
          config: {Entrypoint: ['/bin/program']},
          rootfs: {type: 'layers', diff_ids: layers.map(({diffId}) => diffId)},
        }),
      );
      const manifest = {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: await putBlob(storage, repository, TYPES.config, config),
        layers: await Promise.all(
          layers.map(({bytes}) => putBlob(storage, repository, TYPES.layer, bytes)),
        ),
      };
      const put = await putManifest(storage, repository, OCI_MANIFEST, manifest, []);
      return {...put, platform: {architecture, os: 'linux'}};
    }),
  );
  const index = {schemaVersion: 2, mediaType: OCI_INDEX, manifests};
  await putManifest(storage, repository, OCI_INDEX, index, tags);
}

/** A layer with one file of incompressible content. */
async function layerOf(
  path: string,
  seed: string,
  size: number,
): Promise<{readonly bytes: Buffer; readonly diffId: Digest}> {
  const archive = pack();
  const blocks = Array.from({length: size / 32}, (_, at) => sha256(`${seed} ${at}`));
  archive.entry({name: path, mode: 0o755, mtime: new Date(0)}, Buffer.concat(blocks));
  archive.finalize();
  const content = await buffer(archive);
  return {bytes: gzipSync(content), diffId: digestOf(content)};
}

async function putBlob(
  {blobs, uploads}: Storage,
  repository: RepositoryPath,
  mediaType: string,
  bytes: Buffer,
): Promise<Descriptor> {
  const digest = digestOf(bytes);
  const id = await uploads.begin(repository);
  await uploads.append(repository, id, Readable.from([bytes]));
  await uploads.commit(repository, id, digest);
  await blobs.link(repository, digest);
  return {mediaType, digest, size: bytes.byteLength};
}

async function putManifest(
  {manifests}: Storage,
  repository: RepositoryPath,
  mediaType: string,
  document: object,
  tags: readonly Tag[],
): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(document));
  const manifest = readManifest(bytes, mediaType, undefined);
  await manifests.put(repository, manifest);
  for (const tag of tags) await manifests.put(repository, manifest, tag);
  return {mediaType, digest: manifest.digest, size: bytes.byteLength};
}

function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${sha256(bytes).toString('hex')}` as Digest;
}

function sha256(content: Uint8Array | string): Buffer {
  return createHash('sha256').update(content).digest();
}
