import {interrupted, isInterrupted} from '../../model/error.ts';
import {errorData} from '../../model/event.ts';
import type {StepResult} from '../../model/outcome.ts';
import {isJournalFailure} from '../journal-file.ts';
import {type PlanRun, type StepEnd, stepResult} from './transfer-run.ts';

/** A step as events tell of it. */
export interface ToldStep {
  readonly id: string;
  /** How many images it copies. */
  readonly images: number;
}

/**
 * Carries out one step, and records its result.
 * @throws TransshipError JOURNAL_WRITE_FAILED: nothing more may be done then
 */
export async function carryOut(
  step: ToldStep,
  run: PlanRun,
  work: () => Promise<StepEnd>,
): Promise<StepEnd> {
  const {context, interruption} = run;
  if (interruption.stopping.aborted) {
    tellEnd(step, {outcome: 'not-started'}, run);
    return {end: 'not-started'};
  }
  const {id, images} = step;
  context.report({type: 'step-started', step: id, images});
  const end = await work().catch((error: unknown) => endOf(error, run));
  const result = stepResult(id, end);
  const {outcome, error} = result;
  if (outcome !== 'interrupted' && outcome !== 'not-started')
    await context.journal.append({type: 'step', id, outcome, ...(error ? {error} : {})});
  tellEnd(step, result, run);
  return end;
}

/** What a step that threw came to. @throws TransshipError JOURNAL_WRITE_FAILED */
export function endOf(thrown: unknown, {interruption}: PlanRun): StepEnd {
  const isStopped = interruption.aborted.aborted || interruption.stopping.aborted;
  const error = isStopped && isAbort(thrown) ? interrupted() : thrown;
  if (isInterrupted(error)) return {end: 'interrupted'};
  if (isJournalFailure(error)) throw error;
  return {end: 'failed', error: errorData(error)};
}

/** What a call that was ended by its signal rejects with. */
function isAbort(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.name === 'AbortError';
}

export function tellEnd(
  {id: step, images}: ToldStep,
  {outcome, error}: Omit<StepResult, 'id'>,
  {context}: PlanRun,
): void {
  context.report({type: 'step-ended', step, outcome, images, ...(error ? {error} : {})});
}
