import PQueue from 'p-queue';
import type {Digest} from '../model/digest.ts';
import {nameOf} from '../model/place.ts';
import type {Drift, StepResult} from '../model/outcome.ts';
import type {BlobAction, CopyStep, PlannedManifest} from '../model/plan.ts';
import type {CopySet} from '../model/transfer-plan.ts';
import {interrupted, isInterrupted, throwIfStopping, type TransshipError} from '../model/error.ts';
import type {CopyContext, Interruption} from './apply-context.ts';
import {type BlobCounts, BlobRelays} from './blob-relays.ts';
import {errorData} from '../model/event.ts';
import {sortedDrift} from './find-drift.ts';
import {isJournalFailure} from './journal-file.ts';
import {ManifestPushes, type Turn} from './manifest-pushes.ts';
import {PlannedContent} from './planned-content.ts';
import {fallbackTag} from '../observe/listed-referrer.ts';
import {uploadKey} from './journal.ts';
import {attachmentSubject} from '../plan/candidate.ts';
import {settleAll} from '../observe/at-once.ts';

/** Maximum number of images in progress. Their blobs have separate queues; a waiting image needs no buffers. */
const STEP_WINDOW = 96;

/** The copies of one run: all copies of a plan, or those of one direction of a transfer. */
export interface CopyWork extends CopySet {
  readonly manifests: readonly PlannedManifest[];
  /** The ids of copies that are already done. */
  readonly done: ReadonlySet<string>;
  /** Copies that fail immediately, by id, because their repositories could not be compared. Default: none. */
  readonly unread?: ReadonlyMap<string, TransshipError>;
  /**
   * Write the tags of each repository one after the other, in the order of the copies: GitLab's metadata database dates
   * a tag by its push, and cleanup policies use that date. Default: in any order.
   */
  readonly isTagOrderKept?: boolean;
  /** Most of this was already copied in this run, and reported as progress then. */
  readonly isAgain?: boolean;
}

/**
 * The result of the copies. `interrupted`: the run was stopped before it was complete; `failed`: a copy failed for
 * another reason than drift.
 */
export interface CopyRunResult {
  readonly end: 'done' | 'failed' | 'interrupted';
  /** Tags that changed at the destination after planning, whose copies failed with DRIFT. */
  readonly drift: readonly Drift[];
  /** The result of every copy, in order. */
  readonly steps: readonly StepResult[];
  readonly counts: BlobCounts;
}

/**
 * Copies images to their repositories, many concurrently. A failed one does not stop the others, unless the settings
 * say so.
 * @throws TransshipError JOURNAL_WRITE_FAILED, since nothing must be done without a journal
 */
export async function runCopies(
  work: CopyWork,
  context: CopyContext,
  interruption: Interruption,
): Promise<CopyRunResult> {
  return await new CopyRun(work, context, interruption).all();
}

class CopyRun {
  readonly #work: CopyWork;
  readonly #context: CopyContext;
  readonly #stopping: AbortSignal;
  readonly #interruption: Interruption;
  readonly #manifests: ReadonlyMap<Digest, PlannedManifest>;
  readonly #blobs: BlobRelays;
  readonly #pushes: ManifestPushes;
  readonly #failedOnce = new AbortController();
  readonly #results = new Map<string, Promise<StepResult>>();
  /** By repository, the latest copy in the order of tags. */
  readonly #turns = new Map<string, NonNullable<Turn['before']>>();
  readonly #fallbackTags: ReadonlySet<string>;
  /** Copies of attachments of images. */
  readonly #beside: ReadonlySet<string>;

  constructor(work: CopyWork, context: CopyContext, interruption: Interruption) {
    this.#work = work;
    this.#context = context;
    this.#stopping = AbortSignal.any([interruption.stopping, this.#failedOnce.signal]);
    this.#interruption = {...interruption, stopping: this.#stopping};
    this.#manifests = new Map(work.manifests.map((manifest) => [manifest.digest, manifest]));
    const content = new PlannedContent(
      this.#manifests,
      context,
      imagesOfBlobs(work, this.#manifests),
    );
    this.#beside = new Set(work.copies.flatMap((copy) => (isOfImage(copy) ? [] : [copy.id])));
    this.#blobs = new BlobRelays(work.blobs, content, context, this.#interruption);
    this.#pushes = new ManifestPushes(this.#manifests, this.#blobs, content, context);
    this.#fallbackTags = new Set(work.copies.map(({to, tag}) => `${to}:${tag ?? ''}`));
  }

  async all(): Promise<CopyRunResult> {
    const queue = new PQueue({concurrency: STEP_WINDOW});
    const {copies, done, unread} = this.#work;
    const left = wantedBlobs(
      copies.filter(({id}) => !done.has(id) && unread?.has(id) !== true),
      this.#manifests,
    );
    if (this.#work.isAgain !== true) this.#tellDone(left);
    this.#blobs.startLarge(left);
    for (const step of this.#work.copies) {
      const {promise: writing, resolve} = Promise.withResolvers<void>();
      const isInOrder = this.#work.isTagOrderKept === true;
      const turn = {before: isInOrder ? this.#turns.get(step.to) : undefined, writing: resolve};
      // A copy that writes no tag also lets the next one continue.
      const result = queue.add(() => this.#step(step, turn).finally(resolve));
      this.#results.set(step.id, result);
      this.#turns.set(step.to, {writing, done: result});
    }
    await settleAll([...this.#results.values()]);
    const steps = await Promise.all(this.#results.values());
    const isLeft = steps.some(
      ({outcome}) => outcome === 'interrupted' || outcome === 'not-started',
    );
    const wasInterrupted =
      isLeft && this.#interruption.stopping.aborted && !this.#failedOnce.signal.aborted;
    const failed = steps.some(
      ({outcome, error}) =>
        (outcome === 'failed' || outcome === 'blocked') && error?.code !== 'DRIFT',
    );
    const end = wasInterrupted ? 'interrupted' : failed ? 'failed' : 'done';
    return {end, drift: sortedDrift(this.#pushes.drift), steps, counts: this.#blobs.counts};
  }

  /** Reports the blobs that earlier runs copied, which were announced with the others. */
  #tellDone(left: ReadonlySet<string>): void {
    const {copies, blobs, done} = this.#work;
    const of = copies.filter(({id}) => done.has(id));
    for (const {digest, to, size} of blobsOfDone(blobs, of, left, this.#manifests))
      this.#context.report({type: 'blob-ended', digest, to, outcome: 'present', size});
  }

  /** Runs a copy. A failure is the step's result; only a failure of the journal rejects. */
  async #step(step: CopyStep, turn: Turn): Promise<StepResult> {
    const {report, journal} = this.#context;
    if (this.#work.done.has(step.id)) {
      journal.note({type: 'step', id: step.id, outcome: 'present'});
      return this.#ended({id: step.id, outcome: 'present'});
    }
    if (this.#stopping.aborted) return this.#ended(this.#unfinished(step));
    const unread = this.#work.unread?.get(step.id);
    if (unread !== undefined) return await this.#failed(step, unread);
    const blocked = await this.#blockedBy(step);
    if (blocked !== undefined) return this.#ended(blocked);
    report({type: 'step-started', step: step.id});
    try {
      await this.#copy(step, turn);
      journal.note({type: 'step', id: step.id, outcome: 'done'});
      return this.#ended({id: step.id, outcome: 'done'});
    } catch (error) {
      return await this.#failed(step, error);
    }
  }

  async #copy(step: CopyStep, turn: Turn): Promise<void> {
    throwIfStopping(this.#stopping);
    const fallbackPlanned = (subject: Digest): boolean =>
      this.#fallbackTags.has(`${step.to}:${fallbackTag(subject)}`);
    const call = {signal: this.#interruption.aborted, stopping: this.#stopping};
    await this.#pushes.push(step, {fallbackPlanned, turn}, call);
  }

  async #failed(step: CopyStep, thrown: unknown): Promise<StepResult> {
    const error = this.#interruption.aborted.aborted ? interrupted() : thrown;
    if (isInterrupted(error)) return this.#ended(this.#unfinished(step));
    if (isJournalFailure(error)) {
      this.#failedOnce.abort();
      throw error;
    }
    const data = errorData(error);
    if (this.#context.settings.onFailure === 'stop') this.#failedOnce.abort();
    await this.#context.journal.append({type: 'step', id: step.id, outcome: 'failed', error: data});
    return this.#ended({id: step.id, outcome: 'failed', error: data});
  }

  /** Waits for the steps that this one needs, which are before it in the queue and never wait for it. */
  async #blockedBy(step: CopyStep): Promise<StepResult | undefined> {
    const {id, needs} = step;
    for (const need of needs) {
      const before = await this.#results.get(need);
      if (before === undefined || before.outcome === 'done' || before.outcome === 'present')
        continue;
      if (before.outcome === 'not-started' || before.outcome === 'interrupted')
        return this.#unfinished(step);
      return {id, outcome: 'blocked', ...(before.error ? {error: before.error} : {})};
    }
    return undefined;
  }

  /** The result of a copy that the end of the run prevented: `interrupted` if some of it is at the destination. */
  #unfinished({id, to, manifests}: CopyStep): StepResult {
    const isBegun = manifests.some((digest) =>
      this.#manifests.get(digest)?.blobs.some((blob) => this.#blobs.hasBegun(blob, to)),
    );
    return {id, outcome: isBegun ? 'interrupted' : 'not-started'};
  }

  #ended(result: StepResult): StepResult {
    const {id, outcome, error} = result;
    const isBeside = this.#beside.has(id) ? {isBeside: true as const} : {};
    const told = {type: 'step-ended', step: id, outcome, ...isBeside} as const;
    this.#context.report({...told, ...(error ? {error} : {})});
    return result;
  }
}

type PlannedManifests = ReadonlyMap<Digest, PlannedManifest>;

/** Whether a copy is of an image, and not of a signature or another attachment. */
export function isOfImage({tag}: CopyStep): boolean {
  return tag !== undefined && attachmentSubject(tag) === undefined;
}

/**
 * Minimum size in bytes of blobs that are reported with the name of an image: smaller ones are copied too quickly to
 * read it.
 */
const WORTH_A_NAME = 1024 * 1024;

/** Finds the first image that needs a large blob, by its `uploadKey`. The table is made on first use. */
function imagesOfBlobs(
  {copies, blobs}: CopyWork,
  manifests: PlannedManifests,
): (key: string) => string | undefined {
  const large = new Set(
    blobs.flatMap(({digest, to, size}) => (size < WORTH_A_NAME ? [] : [uploadKey(digest, to)])),
  );
  let images: Map<string, CopyStep> | undefined;
  const find = (): Map<string, CopyStep> => {
    const found = new Map<string, CopyStep>();
    for (const copy of copies)
      for (const blob of wantedBlobs([copy], manifests))
        if (large.has(blob) && !found.has(blob)) found.set(blob, copy);
    return found;
  };
  return (key) => {
    if (!large.has(key)) return undefined;
    images ??= find();
    const first = images.get(key);
    return first && nameOf(first.to, first.tag, first.digest);
  };
}

/** The blobs below these copies, as `uploadKey`. */
export function wantedBlobs(
  copies: readonly CopyStep[],
  manifests: PlannedManifests,
): ReadonlySet<string> {
  const wanted = new Set<string>();
  for (const {to, manifests: parts} of copies) {
    for (const digest of parts) {
      for (const blob of manifests.get(digest)?.blobs ?? []) wanted.add(uploadKey(blob, to));
    }
  }
  return wanted;
}

/** Blobs to copy that an earlier run already copied: only copies that are done need them. */
function blobsOfDone(
  blobs: readonly BlobAction[],
  done: readonly CopyStep[],
  left: ReadonlySet<string>,
  manifests: PlannedManifests,
): readonly BlobAction[] {
  if (done.length === 0) return [];
  const there = wantedBlobs(done, manifests);
  return blobs.filter(({action, digest, to}) => {
    const key = uploadKey(digest, to);
    return action === 'copy' && there.has(key) && !left.has(key);
  });
}
