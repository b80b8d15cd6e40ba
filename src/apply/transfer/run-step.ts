import {interrupted, isInterrupted} from '../../model/error.ts';
import {errorData} from '../../model/event.ts';
import type {StepResult} from '../../model/outcome.ts';
import {isJournalFailure} from '../journal-file.ts';
import {type PlanRun, type StepEnd, stepResult} from './transfer-run.ts';

/** A step as events report it. */
export interface ToldStep {
  readonly id: string;
  /** The number of images that it copies. */
  readonly images: number;
}

/**
 * Carries out a step, and records its result.
 * @throws TransshipError JOURNAL_WRITE_FAILED: the run must stop
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

/** The end of a step that threw an error. @throws TransshipError JOURNAL_WRITE_FAILED */
export function endOf(thrown: unknown, {interruption}: PlanRun): StepEnd {
  const isStopped = interruption.aborted.aborted || interruption.stopping.aborted;
  const error = isStopped && isAbort(thrown) ? interrupted() : thrown;
  if (isInterrupted(error)) return {end: 'interrupted'};
  if (isJournalFailure(error)) throw error;
  return {end: 'failed', error: errorData(error)};
}

/** Whether a call was rejected because its signal was aborted. */
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
