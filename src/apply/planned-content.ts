import {algorithmOf, type Digest, digestOf} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {withOrdinaryLayers, withOtherManifests} from '../model/foreign-layers.ts';
import {type Manifest, parseManifest} from '../model/manifest.ts';
import {DOCKER_MANIFEST} from '../model/media-type.ts';
import type {Conversion} from '../model/conversion.ts';
import type {BlobAction, PlannedManifest} from '../model/plan.ts';
import {absentRepository, type Call, type RepositoryReader} from '../model/port.ts';
import {convertSchema1} from '../model/schema1.ts';
import {cutIndex} from '../plan/cut-index.ts';
import type {CopyContext} from './apply-context.ts';

/**
 * The content that a plan copies: manifests from planning, from the source by digest, or created from those; and
 * readers of blobs, some of which are not at the source.
 */
export class PlannedContent {
  readonly #context: CopyContext;
  readonly #planned: ReadonlyMap<Digest, PlannedManifest>;
  /** Manifests converted from schema 1, by the digests of their configs. */
  readonly #madeConfigs = new Map<Digest, Digest>();

  /** The name of the first image that needs a blob, by its `uploadKey`. */
  readonly imageOf: (key: string) => string | undefined;

  constructor(
    planned: ReadonlyMap<Digest, PlannedManifest>,
    context: CopyContext,
    imageOf: PlannedContent['imageOf'],
  ) {
    this.imageOf = imageOf;
    this.#planned = planned;
    this.#context = context;
    for (const {digest, blobs, convertedFrom} of planned.values()) {
      const [config] = blobs;
      if (convertedFrom?.kind === 'schema1' && config !== undefined)
        this.#madeConfigs.set(config, digest);
    }
  }

  /** @throws TransshipError MANIFEST_NOT_FOUND, MANIFEST_DIGEST_MISMATCH */
  async manifest(digest: Digest, from: string, call: Call): Promise<Manifest> {
    const {cutFrom, convertedFrom} = this.#planned.get(digest) ?? {};
    const origin = cutFrom ?? convertedFrom;
    if (origin === undefined) return this.#read(digest, from, call);
    const whole = await this.#read(origin.digest, from, call);
    const bytes =
      convertedFrom === undefined
        ? cutIndex(whole.bytes, cutFrom?.keep ?? [])
        : this.#converted(whole.bytes, convertedFrom);
    if (digestOf(bytes, algorithmOf(digest)) !== digest) throw otherBytes(digest, origin.digest);
    const {mediaType} = whole.descriptor;
    const isSchema1 = convertedFrom?.kind === 'schema1';
    return parseManifest(bytes, isSchema1 ? DOCKER_MANIFEST : mediaType, digest, 'source');
  }

  /** The repository to read a blob from: the source, its URLs, or memory for a created config. @throws as `manifest` */
  async blobSource(action: BlobAction, call: Call): Promise<RepositoryReader> {
    const {digest, from, urls} = action;
    if (urls !== undefined) return this.#layerAt(urls);
    const manifest = this.#madeConfigs.get(digest);
    if (manifest === undefined) return this.#context.repositories.source(from);
    return inMemory(from, await this.#config(manifest, from, call));
  }

  #layerAt(urls: readonly string[]): RepositoryReader {
    const {layerAt} = this.#context;
    if (layerAt !== undefined) return layerAt(urls);
    throw new Error('a plan with layers at URLs was applied without a client for them');
  }

  async #config(manifest: Digest, from: string, call: Call): Promise<Uint8Array> {
    const conversion = this.#planned.get(manifest)?.convertedFrom;
    if (conversion?.kind !== 'schema1') throw new Error(`${manifest} has no config of its own`);
    const {bytes} = await this.#read(conversion.digest, from, call);
    return convertSchema1(bytes, conversion.layers).config;
  }

  #converted(bytes: Uint8Array, conversion: Conversion): Uint8Array {
    switch (conversion.kind) {
      case 'schema1':
        return convertSchema1(bytes, conversion.layers).manifest;
      case 'foreign-layers':
        return withOrdinaryLayers(bytes);
      case 'index': {
        const {keep, instead} = conversion;
        const kept = keep === undefined ? bytes : cutIndex(bytes, keep);
        const others = instead.flatMap(({from, to}) => {
          const other = this.#planned.get(to);
          return other === undefined ? [] : [[from, other] as const];
        });
        return withOtherManifests(kept, new Map(others));
      }
    }
  }

  async #read(digest: Digest, from: string, call: Call): Promise<Manifest> {
    const observed = this.#context.observed?.get(digest);
    if (observed?.bytes !== undefined) {
      const {mediaType, digest: named} = observed.descriptor;
      return parseManifest(observed.bytes, mediaType, named, 'source');
    }
    const manifest = await this.#context.repositories.source(from).getManifest(digest, call);
    if (manifest !== undefined) return manifest;
    throw new TransshipError('MANIFEST_NOT_FOUND', `${from}@${digest} does not exist`, {
      side: 'source',
      hint: 'it was deleted after planning; plan again',
    });
  }
}

/** A repository that holds one blob, in memory. */
function inMemory(name: string, bytes: Uint8Array): RepositoryReader {
  return {
    ...absentRepository(name),
    hasBlob: () => Promise.resolve(true),
    blobSize: () => Promise.resolve(bytes.byteLength),
    openBlob: (_blob, {offset, end = bytes.byteLength}) => {
      const piece = bytes.subarray(offset, end);
      return Promise.resolve({start: offset, end, chunks: once(piece)});
    },
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.byteLength > 0) yield bytes;
}

function otherBytes(digest: Digest, from: Digest): TransshipError {
  return new TransshipError(
    'MANIFEST_DIGEST_MISMATCH',
    `the manifest created from ${from} is not ${digest}`,
    {
      side: 'local',
      hint: 'the plan was made by another version of transship; plan again',
    },
  );
}
