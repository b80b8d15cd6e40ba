import type {Descriptor} from '../model/descriptor.ts';
import {type Digest, shortDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {foreignLayers} from '../model/foreign-layers.ts';
import {childBlobs, type Manifest} from '../model/manifest.ts';
import type {Drift} from '../model/outcome.ts';
import {nameOf} from '../model/place.ts';
import type {CopyStep, PlannedManifest} from '../model/plan.ts';
import type {Call, RepositoryWriter} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {headComparable} from '../observe/observe-destination.ts';
import {fallbackTag} from '../observe/listed-referrer.ts';
import type {CopyContext} from './apply-context.ts';
import {RetryBudget} from '../relay/retry-budget.ts';
import type {BlobRelays} from './blob-relays.ts';
import {retryEvent} from '../model/event.ts';
import type {PlannedContent} from './planned-content.ts';
import {ReferrersFallback} from './referrers-fallback.ts';
import {settleAll} from '../observe/at-once.ts';

type PutAnswer = Awaited<ReturnType<RepositoryWriter['putManifest']>>;

/** The data about a pushed manifest that is kept in memory: little, since there are many. */
interface Pushed {
  /** Set for a referrer that the registry does not list itself. */
  readonly unlisted?: {
    readonly subject: Digest;
    readonly descriptor: Descriptor;
    readonly annotations: Readonly<Record<string, string>> | undefined;
  };
}

export interface PushOptions {
  /** Whether the plan copies the fallback tag of this subject. */
  readonly fallbackPlanned: (subject: Digest) => boolean;
  /** Writes the tag only after that of an earlier copy. Absent: as soon as the image is complete. */
  readonly turn?: Turn;
}

/** The turn of a copy among those of its repository that write their tags in order. */
export interface Turn {
  /** Resolves when the copy before this one writes its tag, or writes none; undefined: there is none before. */
  readonly before:
    | {readonly writing: Promise<unknown>; readonly done: Promise<unknown>}
    | undefined;
  /** Called when this copy writes its tag, so that the next one may check its own. */
  readonly writing: () => void;
}

/** The destination of a manifest. */
interface Written {
  readonly step: CopyStep;
  readonly reference: Tag | Digest;
  readonly turn: Turn | undefined;
}

/**
 * Pushes manifests: blobs first, then children, then the manifest, so that nothing visible ever refers to missing
 * content. A manifest that several images share is pushed once for each repository.
 */
export class ManifestPushes {
  /** Tags that changed since planning, as found directly before they would have been overwritten. */
  readonly drift: Drift[] = [];
  readonly #planned: ReadonlyMap<Digest, PlannedManifest>;
  readonly #blobs: BlobRelays;
  readonly #content: PlannedContent;
  readonly #context: CopyContext;
  readonly #fallback: ReferrersFallback;
  /** Manifests for which a notice about wrong sizes was sent. */
  readonly #noted = new Set<Digest>();
  /** Pushed manifests by digest and repository: several images may need the same one. */
  readonly #pushed = new Map<string, Promise<Pushed>>();

  constructor(
    planned: ReadonlyMap<Digest, PlannedManifest>,
    blobs: BlobRelays,
    content: PlannedContent,
    context: CopyContext,
  ) {
    this.#planned = planned;
    this.#blobs = blobs;
    this.#content = content;
    this.#context = context;
    this.#fallback = new ReferrersFallback(context.repositories);
  }

  /**
   * Pushes one image completely; its tag, if any, is written last.
   * @throws TransshipError DRIFT if the tag changed since planning; see `drift`
   */
  async push(step: CopyStep, {fallbackPlanned, turn}: PushOptions, call: Call): Promise<void> {
    const mine = new Set(step.manifests);
    const {unlisted} =
      step.tag === undefined
        ? await this.#pushOnce(step.digest, step, mine, call)
        : await this.#pushAs(step.tag, step.digest, step, mine, call, turn);
    if (unlisted === undefined || fallbackPlanned(unlisted.subject)) return;
    const {subject, descriptor, annotations} = unlisted;
    // Without `stopping`: the tag is written, so another run would consider the image done.
    await this.#fallback.add(step.to, subject, descriptor, annotations, {signal: call.signal});
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
        .map((child) => this.#pushOnce(child, step, mine, call)),
    ]);
  }

  #pushOnce(
    digest: Digest,
    step: CopyStep,
    mine: ReadonlySet<Digest>,
    call: Call,
  ): Promise<Pushed> {
    const key = `${digest} ${step.to}`;
    const pushing = this.#pushed.get(key) ?? this.#pushAs(digest, digest, step, mine, call);
    this.#pushed.set(key, pushing);
    return pushing;
  }

  async #pushAs(
    reference: Tag | Digest,
    digest: Digest,
    step: CopyStep,
    mine: ReadonlySet<Digest>,
    call: Call,
    turn?: Turn,
  ): Promise<Pushed> {
    await this.#pushParts(digest, step, mine, call);
    const manifest = await this.#content.manifest(digest, step.from, call);
    this.#noteWrongSizes(manifest, step);
    // Everything that does not depend on the previous tag is done by now.
    await turn?.before?.writing;
    const {subjectKept} = await this.#put(manifest, {step, reference, turn}, mine, call);
    const subject = manifest.view.kind === 'schema1' ? undefined : manifest.view.subject?.digest;
    if (subject === undefined || subjectKept) return {};
    const {descriptor} = manifest;
    return {unlisted: {subject, descriptor, annotations: annotationsOf(manifest)}};
  }

  /** Notifies the user, once for each manifest, that an image with wrong sizes is copied unchanged. */
  #noteWrongSizes({descriptor: {digest}, view}: Manifest, {from}: CopyStep): void {
    const wrong = childBlobs(view).filter((blob) => {
      const actual = this.#blobs.actualSize(blob.digest);
      return actual !== undefined && actual !== blob.size;
    });
    const [first] = wrong;
    if (first === undefined || this.#noted.has(digest)) return;
    this.#noted.add(digest);
    const others = wrong.length > 1 ? `, and for ${wrong.length - 1} more` : '';
    const actual = this.#blobs.actualSize(first.digest) ?? 0;
    this.#context.report({
      type: 'notice',
      code: 'WRONG_SIZE_IN_MANIFEST',
      message: `${from}@${digest} gives a wrong size for ${shortDigest(first.digest)}: ${first.size} instead of ${actual} bytes${others}; the digest matches, so it is copied unchanged`,
    });
  }

  /**
   * Pushes one manifest. If the registry lacks a part that was considered present, all parts are looked up again and
   * missing ones are sent, once: garbage collection may have deleted them, or the registry's response was wrong.
   */
  async #put(
    manifest: Manifest,
    written: Written,
    mine: ReadonlySet<Digest>,
    call: Call,
  ): Promise<PutAnswer> {
    const {step} = written;
    const blobs = this.#planned.get(manifest.descriptor.digest)?.blobs ?? [];
    const foreign = [
      ...this.#blobs.foreign(blobs, step.to),
      ...foreignLayers(manifest.view).map((layer) => layer.digest),
    ];
    const put = async (): Promise<PutAnswer> => {
      try {
        return await this.#putStored(manifest, written, call);
      } catch (error) {
        throw foreign.length > 0 ? withForeign(error, manifest, new Set(foreign)) : error;
      }
    };
    try {
      return await put();
    } catch (error) {
      if (!(error instanceof TransshipError) || error.code !== 'MANIFEST_PARTS_MISSING')
        throw error;
      const planned = this.#planned.get(manifest.descriptor.digest);
      await this.#blobs.doubt(planned?.blobs ?? [], step.to, call);
      for (const child of planned?.manifests ?? []) this.#pushed.delete(`${child} ${step.to}`);
      const all = new Set([...mine, ...(planned?.manifests ?? [])]);
      await this.#pushParts(manifest.descriptor.digest, step, all, call);
      return put();
    }
  }

  /** Pushes a manifest, and again if the registry reported success but does not have it. */
  async #putStored(manifest: Manifest, written: Written, call: Call): Promise<PutAnswer> {
    const {step, reference} = written;
    const {settings, report} = this.#context;
    const what = `${reference} to ${step.to}`;
    const budget = new RetryBudget(
      settings.retry,
      (attempt, delayMs, error) => report(retryEvent(what, attempt, delayMs, error)),
      call.stopping,
    );
    for (;;) {
      try {
        return await this.#putUnlessDrifted(manifest, written, call);
      } catch (error) {
        if (!(error instanceof TransshipError) || error.code !== 'CHANGE_NOT_SEEN') throw error;
        await budget.spend(error, 'destination', call);
      }
    }
  }

  /**
   * Checks a tag directly before it is written, so that a push since planning is not overwritten. A tag that already
   * has the planned digest is written again, which changes nothing.
   */
  async #putUnlessDrifted(
    manifest: Manifest,
    {step, reference, turn}: Written,
    call: Call,
  ): Promise<PutAnswer> {
    const destination = this.#context.repositories.destination(step.to);
    if (reference === step.tag) {
      const found = (await headComparable(destination, step.tag, step.digest, call)) ?? null;
      const actual = found !== null && isSubjectItself(reference, found) ? null : found;
      if (actual !== step.replaces && actual !== step.digest) {
        const {to: repository, tag, replaces: planned} = step;
        this.drift.push({side: 'destination', repository, tag, planned, actual});
        throw drifted(nameOf(repository, tag, undefined), planned, actual);
      }
    }
    await turn?.before?.done;
    turn?.writing();
    return destination.putManifest(reference, manifest, call);
  }
}

/** Whether the fallback tag returned its subject itself, as GitLab.com does (oras-project/oras-go#1396). */
function isSubjectItself(tag: Tag | Digest, found: Digest): boolean {
  return tag === fallbackTag(found);
}

function drifted(subject: string, planned: Digest | null, actual: Digest | null): TransshipError {
  const [before, now] = [planned, actual].map((digest) =>
    digest === null ? 'nothing' : shortDigest(digest),
  );
  return new TransshipError(
    'DRIFT',
    `${subject} points to ${now}, but pointed to ${before} when the plan was made; it was not overwritten`,
    {side: 'destination', hint: 'plan again to review the change'},
  );
}

/** A refusal of a manifest with foreign layers is most likely about those, but registries do not say so. */
function withForeign(
  error: unknown,
  {descriptor: {digest: manifest}}: Manifest,
  layers: ReadonlySet<Digest>,
): unknown {
  const refusals = ['MANIFEST_PARTS_MISSING', 'REGISTRY_REFUSED', 'BLOB_NOT_FOUND'];
  if (!(error instanceof TransshipError) || !refusals.includes(error.code)) return error;
  const {code, message, side, status, cause} = error;
  const what = `${manifest} has foreign layers: ${[...layers].join(', ')}`;
  return new TransshipError(code, `${message}; ${what}`, {
    side,
    hint: `the registry may not accept layers with URLs: plan with --convert-foreign, which changes ${shortDigest(manifest)} and every index above it, have its administrator allow them (distribution: validation.manifests.urls.allow), or leave their platform out with --platform`,
    ...(status === undefined ? {} : {status}),
    cause,
  });
}

function annotationsOf({view}: Manifest): Readonly<Record<string, string>> | undefined {
  return view.kind === 'schema1' ? undefined : view.annotations;
}
