import {randomBytes} from 'node:crypto';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {type Manifest, parseManifest} from '../model/manifest.ts';
import {DOCKER_MANIFEST, DOCKER_LIST, OCI_INDEX, OCI_MANIFEST} from '../model/media-type.ts';
import type {Call, TagDeletion} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import type {RegistryRepository} from '../registry/registry.ts';
import {attempted, failed, type Finding, passed, warned} from './examination.ts';
import {blobOf} from './upload-trial.ts';

const IMAGE_CONFIG = 'application/vnd.oci.image.config.v1+json';
const DOCKER_CONFIG = 'application/vnd.docker.container.image.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip';

/** What cosign gives its signatures: registries that know their types know it. */
const SIGNATURE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** Manifests of one repository, and their deletion. */
export class ManifestTrial {
  readonly #repository: RegistryRepository;
  readonly #call: Call;
  readonly #config: Uint8Array;
  readonly #layer: Uint8Array;
  readonly tag = `transship-doctor-${randomBytes(4).toString('hex')}` as Tag;
  readonly #put = new Set<Digest>();

  /** @param config, layer blobs that the repository has */
  constructor(repository: RegistryRepository, config: Uint8Array, layer: Uint8Array, call: Call) {
    this.#repository = repository;
    this.#config = config;
    this.#layer = layer;
    this.#call = call;
  }

  /**
   * Types of manifests, each under its digest, the image also under two tags.
   * @param withTags false: tags could not be deleted
   */
  async manifests(withTags: boolean): Promise<readonly Finding[]> {
    const image = this.#image(OCI_MANIFEST, IMAGE_CONFIG, LAYER);
    const docker = this.#image(DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER);
    const index = indexOf(OCI_INDEX, image);
    const list = indexOf(DOCKER_LIST, docker);
    const artifact = this.#artifact({artifactType: 'application/vnd.transship.doctor.v1'});
    const referrer = this.#artifact({
      artifactType: SIGNATURE,
      subject: image.descriptor,
    });
    const findings: Finding[] = [];
    if (withTags) {
      for (const tag of [this.tag, this.#other])
        await this.#putAs(tag, image).catch((error: unknown) => this.#refused(error));
    }
    const needed = [
      ['OCI images', image],
      ['Docker images', docker],
      ['OCI indexes', index],
      ['Docker manifest lists', list],
    ] as const;
    for (const [name, manifest] of needed) {
      findings.push(
        ...(await attempted('manifests', this.#call.signal, async () => {
          await this.#putAs(manifest.descriptor.digest, manifest);
          return passed('manifests', `it takes ${name}`, name);
        })),
      );
    }
    const optional = [
      ['artifacts of other types', artifact],
      ['nested indexes', indexOf(OCI_INDEX, index)],
    ] as const;
    for (const [name, manifest] of optional) findings.push(await this.#optional(name, manifest));
    findings.push(await this.#referrer(referrer));
    return findings;
  }

  get #other(): Tag {
    return `${this.tag}-2` as Tag;
  }

  async #putAs(reference: Tag | Digest, manifest: Manifest): Promise<{subjectKept: boolean}> {
    this.#put.add(manifest.descriptor.digest);
    return await this.#repository.putManifest(reference, manifest, this.#call);
  }

  /** What was refused is told of by the put under its digest. */
  #refused(error: unknown): void {
    this.#call.signal.throwIfAborted();
    if (!(error instanceof TransshipError)) throw error;
  }

  async #optional(name: string, manifest: Manifest): Promise<Finding> {
    try {
      await this.#putAs(manifest.descriptor.digest, manifest);
      return passed('manifests', `it takes ${name}`, name);
    } catch (error) {
      this.#refused(error);
      const {message} = error as TransshipError;
      return warned('manifests', `it refuses ${name}: ${message}`, 'they cannot be copied to it');
    }
  }

  /**
   * Whether the registry lists what refers to an image itself (distribution-spec, "Pushing Manifests with Subject").
   */
  async #referrer(referrer: Manifest): Promise<Finding> {
    try {
      const {subjectKept} = await this.#putAs(referrer.descriptor.digest, referrer);
      return subjectKept
        ? passed('subject', 'it lists what refers to an image (OCI-Subject)', 'yes')
        : passed('subject', 'it takes referrers and does not list them: fallback tags do', 'no');
    } catch (error) {
      this.#refused(error);
      const {message} = error as TransshipError;
      return warned(
        'subject',
        `it refuses what refers to an image: ${message}`,
        'signatures and attestations of that form cannot be copied to it',
        'refused',
      );
    }
  }

  /** By tag, then by digest: whether what was deleted is gone, and what else went with it. */
  async deletion(way: TagDeletion): Promise<readonly Finding[]> {
    const findings: Finding[] = [];
    if (way === 'digest') {
      findings.push(
        warned(
          'delete-tag',
          'tags are deleted by digest only, with all others of their digest',
          'plan delete leaves tags that share their digest with one that stays',
          'by digest only',
        ),
      );
    } else {
      await this.#repository.deleteTag(this.tag, this.#call);
      findings.push(await this.#tagGone());
    }
    for (const digest of [...this.#put].toReversed()) {
      await this.#repository.deleteManifest(digest, this.#call);
      this.#put.delete(digest);
      if (this.#put.size > 0) continue;
      const isThere = await this.#repository.head(digest, this.#call);
      findings.push(
        isThere === undefined
          ? passed('delete-digest', 'a manifest that is deleted is gone', 'yes')
          : notDeleted('delete-digest', 'a manifest'),
      );
    }
    return findings;
  }

  async #tagGone(): Promise<Finding> {
    const {tag} = this;
    if ((await this.#repository.head(tag, this.#call)) !== undefined)
      return notDeleted('delete-tag', 'a tag');
    const listed = await this.#repository.listTags(this.#call);
    if (listed?.includes(tag) === true) {
      return failed(
        'delete-tag',
        'the registry deleted a tag, and still lists it',
        'its storage may not delete: have an administrator check the permissions (S3: s3:DeleteObject)',
        'still listed',
      );
    }
    const other = await this.#repository.head(this.#other, this.#call);
    return other === undefined
      ? warned(
          'delete-tag',
          'a tag that is deleted is gone, and with it the other tag of its digest',
          'plan delete leaves tags that share their digest with one that stays',
          'with its digest',
        )
      : passed('delete-tag', 'a tag that is deleted is gone, others of its digest stay', 'yes');
  }

  /** What a refusal, or a signal, left. @returns the digests that could not be deleted */
  async removeRest(call: Call): Promise<readonly Digest[]> {
    const left: Digest[] = [];
    for (const digest of [...this.#put].toReversed()) {
      const isThere = await this.#repository.head(digest, call).catch(() => undefined);
      if (isThere === undefined) continue;
      await this.#repository.deleteManifest(digest, call).catch(() => left.push(digest));
    }
    return left;
  }

  #image(mediaType: string, configType: string, layerType: string): Manifest {
    const config = {...blobOf(this.#config), mediaType: configType};
    const layers = [{...blobOf(this.#layer), mediaType: layerType}];
    return manifestOf({schemaVersion: 2, mediaType, config, layers}, mediaType);
  }

  #artifact(more: object): Manifest {
    const config = {...blobOf(this.#config), mediaType: 'application/vnd.oci.empty.v1+json'};
    const layers = [{...blobOf(this.#layer), mediaType: 'application/octet-stream'}];
    return manifestOf(
      {schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers, ...more},
      OCI_MANIFEST,
    );
  }
}

function notDeleted(check: string, what: string): Finding {
  return failed(
    check,
    `the registry says that it deleted ${what}, and still has it`,
    'its storage may not delete: have an administrator check the permissions (S3: s3:DeleteObject)',
    'still there',
  );
}

function indexOf(mediaType: string, {descriptor}: Manifest): Manifest {
  const platform = {os: 'linux', architecture: 'amd64'};
  const manifests = [{...descriptor, platform}];
  return manifestOf({schemaVersion: 2, mediaType, manifests}, mediaType);
}

function manifestOf(content: object, mediaType: string): Manifest {
  return parseManifest(Buffer.from(JSON.stringify(content)), mediaType, undefined, 'local');
}
