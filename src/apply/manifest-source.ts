import {algorithmOf, type Digest, digestOf} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {type Manifest, parseManifest} from '../model/manifest.ts';
import type {PlannedManifest} from '../model/plan.ts';
import type {Call} from '../model/port.ts';
import {cutIndex} from '../plan/cut-index.ts';
import type {CarryContext} from './apply-context.ts';

/** Gets the bytes of a plan's manifests: what planning saw, else the source by digest, else made from those. */
export class ManifestSource {
  readonly #context: CarryContext;
  readonly #planned: ReadonlyMap<Digest, PlannedManifest>;

  constructor(planned: ReadonlyMap<Digest, PlannedManifest>, context: CarryContext) {
    this.#planned = planned;
    this.#context = context;
  }

  /** @throws TransshipError MANIFEST_NOT_FOUND, MANIFEST_DIGEST_MISMATCH */
  async get(digest: Digest, from: string, call: Call): Promise<Manifest> {
    const cut = this.#planned.get(digest)?.cutFrom;
    if (cut === undefined) return this.#read(digest, from, call);
    const whole = await this.#read(cut.digest, from, call);
    const bytes = cutIndex(whole.bytes, cut.keep);
    if (digestOf(bytes, algorithmOf(digest)) !== digest) throw otherCut(digest, cut.digest);
    return parseManifest(bytes, whole.descriptor.mediaType, digest, 'source');
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

function otherCut(digest: Digest, from: Digest): TransshipError {
  return new TransshipError(
    'MANIFEST_DIGEST_MISMATCH',
    `the index cut from ${from} is not ${digest}`,
    {
      side: 'local',
      hint: 'the plan was made by another version of transship; plan again',
    },
  );
}
