import PQueue from 'p-queue';
import {isInterrupted, TransshipError} from '../model/error.ts';
import {errorData} from '../model/event.ts';
import type {Digest} from '../model/digest.ts';
import {childManifests} from '../model/manifest.ts';
import type {Drift, RunResult, StepResult} from '../model/outcome.ts';
import {nameOf} from '../model/place.ts';
import {type CopyPlan, type DeleteStep, deletionsOf} from '../model/plan.ts';
import type {Call, Repositories, RepositoryWriter} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import type {Report} from '../model/event.ts';
import {mapAtOnce, mapInQueue} from '../observe/at-once.ts';
import {ImageLimit} from '../observe/manifest-limits.ts';
import type {Interruption} from './apply-context.ts';
import {reportEnd} from './apply-plan.ts';
import {sortedDrift} from './find-drift.ts';
import {lookUp, notAsPlanned, sideOf} from './repository-deletions.ts';
import type {KeptManifests} from './kept-manifests.ts';

const REPOSITORIES_AT_ONCE = 4;
/** Tags of a repository that are restored concurrently: few, since each is a write. */
const TAGS_AT_ONCE = 8;
/** Manifests that are read from the file and pushed concurrently: each may have 4 MiB, in a line of 8 MiB. */
const MANIFESTS_AT_ONCE = 4;

/** The environment in which tags are restored. */
export interface RestoreContext {
  readonly repositories: Repositories;
  readonly kept: KeptManifests;
  readonly report: Report;
}

/**
 * Restores the tags that a plan deleted, with the manifests from an undo file; the registry keeps their blobs until its
 * garbage collection. Images are restored before their attachments. A tag that was pushed meanwhile is not changed. A
 * second run changes nothing.
 * @returns the result of each deletion: `done`: restored; `present`: already there
 */
export async function restoreDeleted(
  plan: CopyPlan,
  context: RestoreContext,
  interruption: Interruption,
): Promise<RunResult> {
  const deletions = deletionsOf(plan);
  context.report({
    type: 'run-started',
    plan: plan.id,
    steps: deletions.length,
    blobs: 0,
    bytes: 0,
  });
  const drift: Drift[] = [];
  const results = new Map<string, StepResult>();
  const queue = new PQueue({concurrency: MANIFESTS_AT_ONCE});
  const run: RestoreRun = {...context, interruption, drift, results, queue};
  const byRepository = Map.groupBy(deletions, ({repository}) => repository);
  await mapAtOnce(byRepository.values(), REPOSITORIES_AT_ONCE, async (own) => {
    // Attachments are the steps that other deletions had to precede.
    const {images = [], attached = []} = Object.groupBy(own, ({needs}) =>
      needs.length === 0 ? 'images' : 'attached',
    );
    const [first] = own;
    if (first === undefined) return;
    const restore = new Restore(first, run);
    await mapAtOnce(images, TAGS_AT_ONCE, (step) => restore.step(step));
    for (const step of attached) await restore.step(step);
  });
  const steps = deletions.flatMap(({id}) => results.get(id) ?? []);
  const result: RunResult = {
    plan: plan.id,
    result: endOf(steps, drift),
    steps,
    bytes: {sent: 0},
    blobs: {copied: 0, mounted: 0, present: 0},
    ...(drift.length === 0 ? {} : {drift: sortedDrift(drift)}),
  };
  reportEnd(result, context.report);
  return result;
}

function endOf(steps: readonly StepResult[], drift: readonly Drift[]): RunResult['result'] {
  if (steps.some(({outcome}) => outcome === 'not-started')) return 'interrupted';
  if (drift.length > 0) return 'drift';
  return steps.some(({outcome}) => outcome === 'failed') ? 'failed' : 'done';
}

/** The state that all repositories share. */
interface RestoreRun extends RestoreContext {
  readonly interruption: Interruption;
  /** Tags that have another digest now. */
  readonly drift: Drift[];
  readonly results: Map<string, StepResult>;
  /** Of what needs a manifest of the file. Tasks must not wait for others. */
  readonly queue: PQueue;
}

/** Restores the tags of one repository. */
class Restore {
  readonly #run: RestoreRun;
  readonly #repository: RepositoryWriter;
  /** Manifests below indexes that the registry has. */
  readonly #present = new Set<Digest>();

  constructor(step: DeleteStep, run: RestoreRun) {
    this.#run = run;
    this.#repository = run.repositories.writable(step.repository, sideOf(step));
  }

  /** Never rejects. */
  async step(step: DeleteStep): Promise<void> {
    const result = await this.#resultOf(step);
    const {id, outcome, error} = result;
    this.#run.results.set(id, result);
    this.#run.report({type: 'step-ended', step: id, outcome, ...(error ? {error} : {})});
  }

  async #resultOf(step: DeleteStep): Promise<StepResult> {
    const {id, repository, tag, digest} = step;
    const {stopping, aborted} = this.#run.interruption;
    if (stopping.aborted || aborted.aborted) return {id, outcome: 'not-started'};
    try {
      const actual = await lookUp(this.#repository, step, {signal: aborted, stopping});
      if (actual === digest) return {id, outcome: 'present'};
      if (actual !== undefined && tag !== undefined) {
        const drift = {side: sideOf(step), repository, tag, planned: digest, actual};
        this.#run.drift.push(drift);
        return {id, outcome: 'failed', error: errorData(notAsPlanned(drift, 'restored'))};
      }
      await this.#putBack(step);
      return {id, outcome: 'done'};
    } catch (error) {
      if (aborted.aborted || isInterrupted(error)) return {id, outcome: 'not-started'};
      return {id, outcome: 'failed', error: errorData(error)};
    }
  }

  /**
   * @throws TransshipError ROLLBACK_TOO_LATE; MANIFEST_NOT_FOUND if the file does not have it; refusals of the registry
   */
  async #putBack(step: DeleteStep): Promise<void> {
    const {kept, queue} = this.#run;
    const name = nameOf(step.repository, step.tag, step.digest);
    const limit = new ImageLimit({name: this.#repository.name, side: 'local'}, step.digest);
    const children = kept.wasDeleted(step)
      ? await queue.add(() => this.#childrenOf(step.digest, limit))
      : undefined;
    if (children === undefined) throw notKept(name);
    try {
      await this.#putBelow(children, limit);
      await queue.add(() => this.#put(step.digest, step.tag));
    } catch (error) {
      const isGone = error instanceof TransshipError && error.code === 'MANIFEST_PARTS_MISSING';
      throw isGone ? collected(name, error) : error;
    }
    if ((await lookUp(this.#repository, step, this.#call)) === step.digest) return;
    throw new TransshipError(
      'VERIFY_FAILED',
      `the registry accepted ${name}, but does not have it`,
      {
        side: sideOf(step),
        hint: 'run the command again; if this repeats, ask the administrator of the registry',
      },
    );
  }

  /**
   * Pushes the manifests below an index that the registry deleted with it, the lowest level first. The file may come
   * from elsewhere, so only the digests of them all are in memory.
   */
  async #putBelow(children: readonly Digest[], limit: ImageLimit): Promise<void> {
    const {queue} = this.#run;
    const levels: (readonly Digest[])[] = [];
    for (let level = children; level.length > 0; ) {
      limit.descend();
      const missing: Digest[] = [];
      const below = await mapInQueue(queue, new Set(level), async (digest) => {
        if (this.#present.has(digest)) return [];
        const isThere = (await this.#repository.head(digest, this.#call)) !== undefined;
        if (isThere) this.#present.add(digest);
        const found = isThere ? undefined : await this.#childrenOf(digest, limit);
        // Undefined also if it was already missing when its index was deleted.
        if (found !== undefined) missing.push(digest);
        return found ?? [];
      });
      levels.push(missing);
      level = below.flat();
    }
    for (const missing of levels.toReversed())
      await mapInQueue(queue, missing, async (digest) => {
        if (!this.#present.has(digest)) await this.#put(digest);
        this.#present.add(digest);
      });
  }

  /** The manifests that one of the file lists; undefined: the file does not have it. */
  async #childrenOf(digest: Digest, limit: ImageLimit): Promise<readonly Digest[] | undefined> {
    const manifest = await this.#run.kept.manifest(digest);
    if (manifest === undefined) return undefined;
    limit.add(manifest.descriptor);
    return childManifests(manifest.view).map((child) => child.digest);
  }

  async #put(digest: Digest, tag?: Tag): Promise<void> {
    const manifest = await this.#run.kept.manifest(digest);
    if (manifest === undefined) throw notKept(nameOf(this.#repository.name, tag, digest));
    await this.#repository.putManifest(tag ?? digest, manifest, this.#call);
  }

  /** Without `stopping`: the outcome of a push would be unknown. */
  get #call(): Call {
    return {signal: this.#run.interruption.aborted};
  }
}

function notKept(name: string): TransshipError {
  return new TransshipError(
    'MANIFEST_NOT_FOUND',
    `${name} was deleted, and the undo file does not contain it`,
    {
      side: 'local',
      hint: 'somebody else deleted it, or "transship apply" ran with --no-undo; push the image again',
    },
  );
}

function collected(name: string, cause: TransshipError): TransshipError {
  return new TransshipError(
    'ROLLBACK_TOO_LATE',
    `${name} cannot be restored: the registry no longer has all of its content`,
    {
      side: 'destination',
      hint: 'its garbage collection has run (GitLab with metadata database: 24 hours after the deletion); push the image again',
      cause,
    },
  );
}
