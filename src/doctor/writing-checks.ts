import {randomBytes} from 'node:crypto';
import {type Digest, digestOf} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {type Manifest, parseManifest} from '../model/manifest.ts';
import {DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST} from '../model/media-type.ts';
import type {Call, RepositoryWriter} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {attempted, failed, type Finding, passed, warned} from './examination.ts';

const BYTES = 'application/octet-stream';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';

/**
 * What can be written in a repository, and deleted again. All manifests and tags that it makes are deleted at the end; the
 * blobs, some hundred bytes, go with the registry's garbage collection.
 * @param base the URL of the registry's API
 */
export async function checkWriting(
  repository: RepositoryWriter,
  base: URL,
  call: Call,
): Promise<readonly Finding[]> {
  const {signal} = call;
  const trial = new Trial(repository, base, call);
  const uploads = await attempted('upload', signal, () => trial.uploads());
  if (uploads.some(({result}) => result === 'fail')) return uploads;
  try {
    const manifests = await trial.manifests();
    return [
      ...uploads,
      ...manifests,
      ...(await attempted('delete', signal, () => trial.deletion())),
    ];
  } finally {
    await trial.removeRest();
  }
}

/** One visit to a repository. */
class Trial {
  readonly #repository: RepositoryWriter;
  readonly #base: URL;
  readonly #call: Call;
  readonly #tag = `transship-doctor-${randomBytes(4).toString('hex')}` as Tag;
  readonly #config = Buffer.from(
    JSON.stringify({os: 'linux', architecture: 'amd64', trial: randomBytes(8).toString('hex')}),
  );
  readonly #layer = randomBytes(64);
  readonly #put = new Set<Digest>();

  constructor(repository: RepositoryWriter, base: URL, call: Call) {
    this.#repository = repository;
    this.#base = base;
    this.#call = call;
  }

  /** A blob in one request, and one in two chunks. */
  async uploads(): Promise<readonly Finding[]> {
    const config = blobOf(this.#config);
    await this.#repository.putBlob(config, () => Promise.resolve(this.#config), this.#call);
    return [
      passed('upload', 'a blob in one request'),
      ...(await attempted('chunks', this.#call.signal, () => this.#chunks())),
    ];
  }

  async #chunks(): Promise<readonly Finding[]> {
    const layer = this.#layer;
    const upload = await this.#repository.beginUpload(blobOf(layer), this.#call);
    const location = locationFinding(new URL(upload.saved.location, this.#base), this.#base);
    try {
      const half = layer.byteLength / 2;
      await upload.append(piece(layer.subarray(0, half)), half, this.#call);
      const asked = await upload.queryOffset(this.#call);
      await upload.append(piece(layer.subarray(half)), half, this.#call);
      await upload.commit(blobOf(layer), this.#call);
      const resumable =
        asked === half
          ? passed(
              'resume',
              'the registry tells how far an upload is: it goes on after its last chunk',
            )
          : warned(
              'resume',
              'the registry does not tell how far an upload is',
              'interrupted uploads begin anew',
            );
      return [passed('chunks', 'a blob in chunks'), resumable, location];
    } catch (error) {
      if (!(error instanceof TransshipError)) throw error;
      await upload.cancel(this.#call);
      await this.#repository.putBlob(blobOf(layer), () => Promise.resolve(layer), this.#call);
      return [
        warned(
          'chunks',
          `no chunks: ${error.message}`,
          'blobs are sent in one request: a proxy may limit its size',
        ),
        location,
      ];
    }
  }

  /** Types of manifests, each under a digest; the image also under a tag. */
  async manifests(): Promise<readonly Finding[]> {
    const image = this.#image(OCI_MANIFEST);
    const list = {
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [{...image.descriptor, platform: {os: 'linux', architecture: 'amd64'}}],
    };
    const findings: Finding[] = [];
    for (const [name, manifest, reference] of [
      ['OCI images', image, this.#tag],
      ['Docker images', this.#image(DOCKER_MANIFEST), undefined],
      ['OCI indexes', manifestOf(list, OCI_INDEX), undefined],
    ] as const) {
      findings.push(
        ...(await attempted('manifests', this.#call.signal, async () => {
          const {digest} = manifest.descriptor;
          this.#put.add(digest);
          await this.#repository.putManifest(reference ?? digest, manifest, this.#call);
          return passed('manifests', `it takes ${name}`);
        })),
      );
    }
    return findings;
  }

  /** By tag, then by digest: whether what was deleted is gone. */
  async deletion(): Promise<readonly Finding[]> {
    const {deleteManifest, deleteTag, tagDeletion} = this.#repository;
    if (deleteManifest === undefined || deleteTag === undefined || tagDeletion === undefined)
      return [];
    const way = await tagDeletion(this.#call);
    const findings: Finding[] = [];
    if (way === 'digest') {
      findings.push(
        warned(
          'delete-tag',
          'tags are deleted by digest only, with all others of their digest',
          'plan delete leaves tags that share their digest with one that stays',
        ),
      );
    } else {
      await deleteTag(this.#tag, this.#call);
      findings.push(await this.#gone('delete-tag', this.#tag, 'a tag'));
    }
    for (const digest of [...this.#put].toReversed()) {
      await deleteManifest(digest, this.#call);
      this.#put.delete(digest);
      if (this.#put.size === 0)
        findings.push(await this.#gone('delete-digest', digest, 'a manifest'));
    }
    return findings;
  }

  async #gone(check: string, reference: Tag | Digest, what: string): Promise<Finding> {
    return (await this.#repository.head(reference, this.#call)) === undefined
      ? passed(check, `${what} that is deleted is gone`)
      : failed(
          check,
          `the registry says that it deleted ${what}, and still has it`,
          'its storage may not delete: have an administrator check the permissions (S3: s3:DeleteObject)',
        );
  }

  /** What a refusal left. */
  async removeRest(): Promise<void> {
    for (const digest of this.#put) {
      await this.#repository.deleteManifest?.(digest, this.#call).catch(() => undefined);
    }
  }

  #image(mediaType: string): Manifest {
    const config = {...blobOf(this.#config), mediaType: CONFIG};
    const layers = [{...blobOf(this.#layer), mediaType: LAYER}];
    return manifestOf({schemaVersion: 2, mediaType, config, layers}, mediaType);
  }
}

function locationFinding(location: URL, base: URL): Finding {
  if (location.origin === base.origin)
    return passed('location', 'uploads are at the registry itself');
  return warned(
    'location',
    `uploads are sent to ${location.origin}, the registry is at ${base.origin}`,
    'if that is no other host on purpose, its external URL or the headers of its proxy are wrong',
  );
}

function blobOf(bytes: Uint8Array) {
  return {mediaType: BYTES, digest: digestOf(bytes), size: bytes.byteLength};
}

function manifestOf(content: object, mediaType: string): Manifest {
  return parseManifest(Buffer.from(JSON.stringify(content)), mediaType, undefined, 'local');
}

async function* piece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  yield bytes;
}
