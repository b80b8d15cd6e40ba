import {errorData} from '../model/event.ts';
import {isInterrupted, TransshipError} from '../model/error.ts';
import type {Drift, StepResult, VerifyDifference} from '../model/outcome.ts';
import {copiesOf, type CopyPlan, type DeleteStep, deletionsOf} from '../model/plan.ts';
import type {RepositoryWriter} from '../model/port.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {OBSERVE_CONCURRENCY} from '../observe/observe-source.ts';
import {nameOf} from '../model/place.ts';
import type {ApplyContext, Interruption} from './apply-context.ts';
import {sortedDrift} from './find-drift.ts';
import {
  lookUp,
  notAsPlanned,
  RepositoryDeletions,
  sideOf,
  type SharedDeletions,
} from './repository-deletions.ts';
import {type Root, verifyRoots} from './verify-plan.ts';

/** Repositories in which tags are deleted concurrently. In each, several tags are deleted concurrently. */
const REPOSITORIES_AT_ONCE = 4;

/** The result of the deletions of a plan. */
export interface DeletionResult {
  readonly end: 'done' | 'failed' | 'interrupted';
  /** Tags that changed since planning, which are kept. */
  readonly drift: readonly Drift[];
  /** The result of every deletion, in the order of the plan. */
  readonly steps: readonly StepResult[];
}

/**
 * Runs the deletions of a plan, after its copies. Moved images are first compared with their destinations, digest by
 * digest, in this run: journals and earlier runs prove nothing. Each tag is checked again directly before and after its
 * deletion.
 * @param copies the results of the plan's copies
 * @throws TransshipError JOURNAL_WRITE_FAILED
 */
export async function runDeletions(
  plan: CopyPlan,
  copies: readonly StepResult[],
  context: ApplyContext,
  interruption: Interruption,
): Promise<DeletionResult> {
  const deletions = new DeletionRun(plan, context, interruption);
  return await deletions.run(copies);
}

class DeletionRun {
  readonly #plan: CopyPlan;
  readonly #context: ApplyContext;
  readonly #interruption: Interruption;
  readonly #steps: readonly DeleteStep[];
  /** The results of steps that are already known. */
  readonly #results = new Map<string, StepResult>();
  readonly #shared: SharedDeletions;

  constructor(plan: CopyPlan, context: ApplyContext, interruption: Interruption) {
    this.#plan = plan;
    this.#context = context;
    this.#interruption = interruption;
    this.#steps = deletionsOf(plan);
    this.#shared = {context, interruption, drift: [], isStopped: false};
  }

  async run(copies: readonly StepResult[]): Promise<DeletionResult> {
    this.#context.report({type: 'step-started', step: 'delete', images: this.#steps.length});
    try {
      this.#blockByCopies(copies);
      await this.#look();
      await this.#verify();
      await this.#delete();
    } catch (error) {
      this.#endAll(error);
    }
    const steps = this.#steps.map(
      ({id}) => this.#results.get(id) ?? {id, outcome: 'not-started' as const},
    );
    const end = this.#endOf(steps);
    const images = this.#steps.length;
    this.#context.report({type: 'step-ended', step: 'delete', outcome: end, images});
    return {end, drift: sortedDrift(this.#shared.drift), steps};
  }

  /** Blocks the deletion of images that were not copied. */
  #blockByCopies(results: readonly StepResult[]): void {
    const byId = new Map(results.map((result) => [result.id, result]));
    const byPlace = new Map(
      copiesOf(this.#plan).map(({id, to, tag, digest}) => [nameOf(to, tag, digest), byId.get(id)]),
    );
    for (const {id, verified, digest} of this.#steps) {
      for (const {to, tag} of verified) {
        const copy = byPlace.get(nameOf(to, tag, digest));
        if (copy === undefined || copy.outcome === 'done' || copy.outcome === 'present') continue;
        const {error} = copy;
        const outcome = error === undefined ? 'not-started' : 'blocked';
        this.#settle({id, outcome, ...(error === undefined ? {} : {error})});
        break;
      }
    }
  }

  /** Looks up the tags; those that an earlier run deleted need not be verified. */
  async #look(): Promise<void> {
    await mapAtOnce(this.#open(), OBSERVE_CONCURRENCY, async (step) => {
      const {id, repository: name, tag, digest} = step;
      const actual = await lookUp(this.#repository(step), step, this.#call);
      if (actual === undefined) {
        this.#context.journal.note({type: 'step', id, outcome: 'present'});
        this.#settle({id, outcome: 'present'});
      } else if (actual !== digest && tag !== undefined) {
        const drift = {side: sideOf(step), repository: name, tag, planned: digest, actual};
        this.#shared.drift.push(drift);
        this.#settle({id, outcome: 'failed', error: errorData(notAsPlanned(drift))});
      }
    });
  }

  async #verify(): Promise<void> {
    const moved = this.#open().filter(({reason}) => reason === 'moved');
    if (moved.length === 0) return;
    const {wrongWith} = await verifyRoots(
      moved.flatMap(rootsOf),
      this.#plan,
      this.#context.repositories,
      this.#call,
    );
    for (const step of moved) {
      const wrong = rootsOf(step)
        .map(wrongWith)
        .find((one) => one !== undefined);
      if (wrong === undefined) continue;
      await this.#fail(step, unverified(step, wrong));
    }
  }

  async #delete(): Promise<void> {
    const byRepository = Map.groupBy(this.#steps, ({repository}) => repository);
    await mapAtOnce(byRepository, REPOSITORIES_AT_ONCE, async ([, steps]) => {
      const [first] = steps;
      if (first === undefined || steps.every(({id}) => this.#results.has(id))) return;
      const own = new RepositoryDeletions(
        this.#repository(first),
        steps,
        this.#results,
        this.#shared,
      );
      for (const result of await own.run()) this.#results.set(result.id, result);
    });
  }

  /** The steps without a result. */
  #open(): readonly DeleteStep[] {
    return this.#steps.filter(({id}) => !this.#results.has(id));
  }

  async #fail({id}: DeleteStep, thrown: unknown): Promise<void> {
    const error = errorData(thrown);
    await this.#context.journal.append({type: 'step', id, outcome: 'failed', error});
    this.#settle({id, outcome: 'failed', error});
  }

  /** Fails all open steps, which could not be looked up or compared. @throws if the journal cannot be written */
  #endAll(thrown: unknown): void {
    const isStopped = this.#interruption.stopping.aborted || this.#interruption.aborted.aborted;
    if (isStopped || isInterrupted(thrown)) return;
    if (thrown instanceof TransshipError && thrown.code === 'JOURNAL_WRITE_FAILED') throw thrown;
    const error = errorData(thrown);
    for (const {id} of this.#open()) this.#settle({id, outcome: 'failed', error});
  }

  #settle(result: StepResult): void {
    const {id: step, outcome, error} = result;
    this.#results.set(step, result);
    this.#context.report({type: 'step-ended', step, outcome, ...(error ? {error} : {})});
  }

  #endOf(steps: readonly StepResult[]): DeletionResult['end'] {
    const isFailed = steps.some(
      ({outcome, error}) =>
        (outcome === 'failed' || outcome === 'blocked') && error?.code !== 'DRIFT',
    );
    const isLeft = steps.some(
      ({outcome}) => outcome === 'not-started' || outcome === 'interrupted',
    );
    if (isLeft && !this.#shared.isStopped) return 'interrupted';
    return isFailed ? 'failed' : 'done';
  }

  #repository(step: DeleteStep): RepositoryWriter {
    return this.#context.repositories.writable(step.repository, sideOf(step));
  }

  get #call() {
    const {stopping, aborted} = this.#interruption;
    return {signal: AbortSignal.any([stopping, aborted])};
  }
}

/** The images that must be complete at their destinations before the source is deleted. */
function rootsOf({verified, digest}: DeleteStep): readonly Root[] {
  return verified.map(({to, tag}) => ({at: to, digest, ...(tag === undefined ? {} : {tag})}));
}

function unverified(step: DeleteStep, wrong: VerifyDifference): TransshipError {
  const {repository, tag, digest} = step;
  const part = nameOf(wrong.repository, wrong.tag, wrong.digest);
  return new TransshipError(
    'VERIFY_FAILED',
    `${nameOf(repository, tag, digest)} is not deleted: ${wrong.what} ${part} ${wrong.actual === null ? 'is missing' : `is ${wrong.actual}`} at the destination`,
    {
      side: 'destination',
      hint: 'plan again: what is missing at the destination is copied again',
    },
  );
}
