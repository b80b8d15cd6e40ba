import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Manifest} from '../model/manifest.ts';
import type {CopyStep, PlannedManifest} from '../model/plan.ts';
import type {Call} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import type {ApplyContext} from './apply-context.ts';
import type {BlobTransfers} from './blob-transfers.ts';
import type {ManifestSource} from './manifest-source.ts';
import {ReferrersFallback} from './referrers-fallback.ts';
import {settleAll} from './settle-all.ts';

/**
 * Puts manifests: blobs first, then children, then the manifest, so that nothing visible ever points to something that
 * is not there. A manifest that several images share is put once for each repository.
 */
export class ManifestPushes {
  readonly #planned: ReadonlyMap<Digest, PlannedManifest>;
  readonly #blobs: BlobTransfers;
  readonly #manifests: ManifestSource;
  readonly #context: ApplyContext;
  readonly #fallback: ReferrersFallback;
  readonly #pushed = new Map<string, Promise<void>>();

  constructor(
    planned: ReadonlyMap<Digest, PlannedManifest>,
    blobs: BlobTransfers,
    manifests: ManifestSource,
    context: ApplyContext,
  ) {
    this.#planned = planned;
    this.#blobs = blobs;
    this.#manifests = manifests;
    this.#context = context;
    this.#fallback = new ReferrersFallback(context.repositories);
  }

  /** Copies all of one image; its tag, where it has one, is written last. */
  async push(
    step: CopyStep,
    fallbackPlanned: (subject: Digest) => boolean,
    call: Call,
  ): Promise<void> {
    const mine = new Set(step.manifests);
    await this.#pushParts(step.digest, step, mine, call);
    const manifest = await this.#manifests.get(step.digest, step.from, call);
    const {subjectKept} = await this.#put(manifest, step, step.tag ?? step.digest, mine, call);
    const subject = manifest.view.kind === 'schema1' ? undefined : manifest.view.subject?.digest;
    if (subject !== undefined && !subjectKept && !fallbackPlanned(subject)) {
      await this.#fallback.add(
        step.to,
        subject,
        manifest.descriptor,
        annotationsOf(manifest),
        call,
      );
    }
  }

  async #pushParts(
    digest: Digest,
    step: CopyStep,
    mine: ReadonlySet<Digest>,
    call: Call,
  ): Promise<void> {
    const planned = this.#planned.get(digest);
    await settleAll([
      ...(planned?.blobs ?? []).map((blob) => this.#blobs.ensure(blob, step.to)),
      ...(planned?.manifests ?? [])
        .filter((child) => mine.has(child))
        .map((child) => this.#pushChild(child, step, mine, call)),
    ]);
  }

  #pushChild(digest: Digest, step: CopyStep, mine: ReadonlySet<Digest>, call: Call): Promise<void> {
    const key = `${digest} ${step.to}`;
    const pushing = this.#pushed.get(key) ?? this.#pushByDigest(digest, step, mine, call);
    this.#pushed.set(key, pushing);
    return pushing;
  }

  async #pushByDigest(
    digest: Digest,
    step: CopyStep,
    mine: ReadonlySet<Digest>,
    call: Call,
  ): Promise<void> {
    await this.#pushParts(digest, step, mine, call);
    const manifest = await this.#manifests.get(digest, step.from, call);
    await this.#put(manifest, step, digest, mine, call);
  }

  /**
   * Puts one manifest. Where the registry misses something that was believed to be there, all parts are asked for and
   * those that are missing sent, once: a registry may have collected them, or lied.
   */
  async #put(
    manifest: Manifest,
    step: CopyStep,
    reference: Tag | Digest,
    mine: ReadonlySet<Digest>,
    call: Call,
  ): Promise<{readonly subjectKept: boolean}> {
    const destination = this.#context.repositories.destination(step.to);
    try {
      return await destination.putManifest(reference, manifest, call);
    } catch (error) {
      if (!(error instanceof TransshipError) || error.code !== 'MANIFEST_PARTS_MISSING')
        throw error;
      const planned = this.#planned.get(manifest.descriptor.digest);
      await this.#blobs.doubt(planned?.blobs ?? [], step.to, call);
      for (const child of planned?.manifests ?? []) this.#pushed.delete(`${child} ${step.to}`);
      const all = new Set([...mine, ...(planned?.manifests ?? [])]);
      await this.#pushParts(manifest.descriptor.digest, step, all, call);
      return destination.putManifest(reference, manifest, call);
    }
  }
}

function annotationsOf({view}: Manifest): Readonly<Record<string, string>> | undefined {
  return view.kind === 'schema1' ? undefined : view.annotations;
}
