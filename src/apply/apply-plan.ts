import PQueue from 'p-queue';
import type {RunResult, StepResult} from '../model/outcome.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {CopyStep, CopyPlan, PlannedManifest} from '../model/plan.ts';
import {interrupted, throwIfStopping} from '../transfer/interrupted.ts';
import type {ApplyContext, Interruption} from './apply-context.ts';
import {BlobTransfers} from './blob-transfers.ts';
import {errorData} from './error-data.ts';
import {findDrift, type PlanState} from './find-drift.ts';
import {ManifestPushes} from './manifest-pushes.ts';
import {ManifestSource} from './manifest-source.ts';
import {uploadKey} from './journal.ts';
import {fallbackTag} from './referrers-fallback.ts';
import {settleAll} from './settle-all.ts';

/** Images that are worked on at once. Their blobs have queues of their own; an image that waits holds no bytes. */
const STEP_WINDOW = 96;

/**
 * Carries a plan out. What is done already is found out and left alone, so that applying again goes on or does nothing.
 * A failed step does not stop the others, unless the settings say so. Nothing is written where the world has drifted.
 * @throws TransshipError when the run cannot go on at all: the journal cannot be written, a registry cannot be asked
 */
export async function applyPlan(
  plan: CopyPlan,
  context: ApplyContext,
  interruption: Interruption,
): Promise<RunResult> {
  const {report} = context;
  const total = {steps: plan.steps.length, blobs: plan.totals.blobs.copy, bytes: plan.totals.bytes};
  report({type: 'run-started', plan: plan.id, ...total});
  const call = {signal: interruption.aborted};
  const state: PlanState = context.fresh
    ? {done: new Set(), drift: []}
    : await findDrift(plan, context.repositories, call);
  const run = new Run(plan, context, interruption, state);
  const result = state.drift.length > 0 ? run.drifted() : await run.all();
  await context.journal.end(result.result);
  const done = result.steps.filter(
    ({outcome}) => outcome === 'done' || outcome === 'present',
  ).length;
  const failed = result.steps.filter(
    ({outcome}) => outcome === 'failed' || outcome === 'blocked',
  ).length;
  report({type: 'run-ended', result: result.result, done, failed, bytes: result.bytes.sent});
  return result;
}

class Run {
  readonly #plan: CopyPlan;
  readonly #context: ApplyContext;
  readonly #stopping: AbortSignal;
  readonly #interruption: Interruption;
  readonly #state: PlanState;
  readonly #manifests: ReadonlyMap<Digest, PlannedManifest>;
  readonly #blobs: BlobTransfers;
  readonly #pushes: ManifestPushes;
  readonly #failedOnce = new AbortController();
  readonly #results = new Map<string, Promise<StepResult>>();
  readonly #fallbackTags: ReadonlySet<string>;

  constructor(plan: CopyPlan, context: ApplyContext, interruption: Interruption, state: PlanState) {
    this.#plan = plan;
    this.#context = context;
    this.#stopping = AbortSignal.any([interruption.stopping, this.#failedOnce.signal]);
    this.#interruption = {...interruption, stopping: this.#stopping};
    this.#state = state;
    this.#manifests = new Map(plan.manifests.map((manifest) => [manifest.digest, manifest]));
    this.#blobs = new BlobTransfers(plan.blobs, context, this.#interruption);
    const source = new ManifestSource(this.#manifests, context);
    this.#pushes = new ManifestPushes(this.#manifests, this.#blobs, source, context);
    this.#fallbackTags = new Set(plan.steps.map(({to, tag}) => `${to}:${tag ?? ''}`));
  }

  async all(): Promise<RunResult> {
    const queue = new PQueue({concurrency: STEP_WINDOW});
    this.#blobs.startLarge(this.#wantedBlobs());
    for (const step of this.#plan.steps) {
      this.#results.set(
        step.id,
        queue.add(() => this.#step(step)),
      );
    }
    await settleAll([...this.#results.values()]);
    const steps = await Promise.all(this.#results.values());
    const wasInterrupted = this.#interruption.stopping.aborted && !this.#failedOnce.signal.aborted;
    const failed = steps.some(({outcome}) => outcome === 'failed' || outcome === 'blocked');
    return this.#result(wasInterrupted ? 'interrupted' : failed ? 'failed' : 'done', steps);
  }

  drifted(): RunResult {
    const steps = this.#plan.steps.map(({id}): StepResult => ({id, outcome: 'not-started'}));
    return {...this.#result('drift', steps), drift: this.#state.drift};
  }

  /** The blobs of the steps that are not done, as `uploadKey`. */
  #wantedBlobs(): ReadonlySet<string> {
    const wanted = new Set<string>();
    for (const {id, to, manifests} of this.#plan.steps) {
      if (this.#state.done.has(id)) continue;
      for (const digest of manifests) {
        for (const blob of this.#manifests.get(digest)?.blobs ?? [])
          wanted.add(uploadKey(blob, to));
      }
    }
    return wanted;
  }

  #result(result: RunResult['result'], steps: readonly StepResult[]): RunResult {
    const {copied, mounted, present, sent} = this.#blobs.counts;
    return {plan: this.#plan.id, result, steps, bytes: {sent}, blobs: {copied, mounted, present}};
  }

  /** Never rejects but for the journal: a failure is the step's result. */
  async #step(step: CopyStep): Promise<StepResult> {
    const {report, journal} = this.#context;
    if (this.#state.done.has(step.id)) {
      await journal.append({type: 'step', id: step.id, outcome: 'present'});
      return this.#ended({id: step.id, outcome: 'present'});
    }
    if (this.#stopping.aborted) return this.#ended({id: step.id, outcome: 'not-started'});
    const blocked = await this.#blockedBy(step);
    if (blocked !== undefined) return this.#ended(blocked);
    report({type: 'step-started', step: step.id});
    try {
      await this.#copy(step);
      await journal.append({type: 'step', id: step.id, outcome: 'done'});
      return this.#ended({id: step.id, outcome: 'done'});
    } catch (error) {
      return await this.#failed(step, error);
    }
  }

  async #copy(step: CopyStep): Promise<void> {
    throwIfStopping(this.#stopping);
    const fallbackPlanned = (subject: Digest): boolean =>
      this.#fallbackTags.has(`${step.to}:${fallbackTag(subject)}`);
    await this.#pushes.push(step, fallbackPlanned, {signal: this.#interruption.aborted});
  }

  async #failed(step: CopyStep, thrown: unknown): Promise<StepResult> {
    const error = this.#interruption.aborted.aborted ? interrupted() : thrown;
    if (error instanceof TransshipError && error.code === 'INTERRUPTED') {
      return this.#ended({id: step.id, outcome: 'not-started'});
    }
    // Without a journal nothing more may be done.
    if (error instanceof TransshipError && error.code === 'JOURNAL_WRITE_FAILED') {
      this.#failedOnce.abort();
      throw error;
    }
    const data = errorData(error);
    if (this.#context.settings.onFailure === 'stop') this.#failedOnce.abort();
    await this.#context.journal.append({type: 'step', id: step.id, outcome: 'failed', error: data});
    return this.#ended({id: step.id, outcome: 'failed', error: data});
  }

  /** Waits for the steps before this one. They stand before it in the queue, so they never wait for it. */
  async #blockedBy({id, needs}: CopyStep): Promise<StepResult | undefined> {
    for (const need of needs) {
      const before = await this.#results.get(need);
      if (before === undefined || before.outcome === 'done' || before.outcome === 'present')
        continue;
      if (before.outcome === 'not-started') return {id, outcome: 'not-started'};
      return {id, outcome: 'blocked', ...(before.error ? {error: before.error} : {})};
    }
    return undefined;
  }

  #ended(result: StepResult): StepResult {
    const {id, outcome, error} = result;
    this.#context.report({type: 'step-ended', step: id, outcome, ...(error ? {error} : {})});
    return result;
  }
}
