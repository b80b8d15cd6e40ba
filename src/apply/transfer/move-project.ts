import type {StepResult} from '../../model/outcome.ts';
import type {ProjectMove, TransferStep} from '../../model/transfer-plan.ts';
import {interrupted, isInterrupted} from '../../model/error.ts';
import {errorData} from '../../model/event.ts';
import {isJournalFailure} from '../journal-file.ts';
import {deletedOf} from '../unfinished.ts';
import {adopted} from './begin.ts';
import {changePath} from './change-path.ts';
import {deleteOld} from './delete-old.ts';
import {createDonor} from './donor.ts';
import {verifyDonor, verifyTarget} from './verify-place.ts';
import {pauseStep, resumeStep, tellOldRules} from './policy.ts';
import {probe, pull, push, retag} from './pull-retag-push.ts';
import {removeDonor} from './remove-donor.ts';
import {
  type ProjectRan,
  type StepEnd,
  stepResult,
  Tally,
  type TransferRun,
} from './transfer-run.ts';

/** How often tags are taken along that came while the old path was emptied: somebody who pushes all the time wins. */
const ADOPTION_LIMIT = 5;

/**
 * Carries a project out, step by step, each proved before the next. Nothing is believed that an earlier run wrote down:
 * each step finds out what there is left to do, so that applying again goes on wherever a run ended.
 * @throws TransshipError JOURNAL_WRITE_FAILED
 */
export async function moveProject(planned: ProjectMove, run: TransferRun): Promise<ProjectRan> {
  const tally = new Tally();
  let move = planned;
  let last: StepEnd = {end: 'present'};
  let adoptions = 0;
  for (let at = 0; at < move.steps.length; at += 1) {
    const step = move.steps[at];
    if (step === undefined) break;
    if (last.end !== 'done' && last.end !== 'present') {
      ended(step, {outcome: 'not-started'}, run);
      tally.add(step.id, {end: 'not-started'});
      continue;
    }
    last = await runStep(move, step, run);
    tally.add(step.id, last);
    if (step.kind !== 'delete-old' || last.end !== 'drift' || adoptions >= ADOPTION_LIMIT) continue;
    const extended = await adopted(move, last.drift, run);
    if (extended === undefined) continue;
    // What came meanwhile has to be pulled and proved before anything more is deleted.
    move = extended;
    run.progress.isDonorProved = false;
    adoptions += 1;
    last = {end: 'done'};
    at = move.steps.findIndex(({kind}) => kind === 'pull') - 1;
  }
  switch (last.end) {
    case 'done':
    case 'present':
      return tally.result('done');
    case 'interrupted':
    case 'not-started':
      return tally.result('interrupted');
    case 'failed':
      return tally.result('failed');
    case 'drift':
      return tally.result('drift', last.drift);
  }
}

async function runStep(move: ProjectMove, step: TransferStep, run: TransferRun): Promise<StepEnd> {
  const {context, interruption} = run;
  const {id} = step;
  if (interruption.stopping.aborted) {
    ended(step, {outcome: 'not-started'}, run);
    return {end: 'not-started'};
  }
  // A limit must not leave the project without its images, or half-way to its new path. What an earlier run deleted is
  // known by now, also where its journal is lost.
  const isIrreversible = step.kind === 'delete-old' || step.kind === 'change-path';
  if (isIrreversible || !isUntouched(move, run)) context.limits?.lift();
  context.report({type: 'step-started', step: id, images: imagesOf(step)});
  const end = await handle(move, step, run).catch((error: unknown) => endOf(error, run));
  const result = stepResult(id, end);
  const {outcome, error} = result;
  if (outcome !== 'interrupted' && outcome !== 'not-started')
    await context.journal.append({type: 'step', id, outcome, ...(error ? {error} : {})});
  ended(step, result, run);
  return end;
}

function isUntouched({project}: ProjectMove, {context, progress}: TransferRun): boolean {
  const deleted = deletedOf(context.journal.unfinished, project.id);
  return progress.where === 'before' && deleted.length === 0;
}

async function handle(move: ProjectMove, step: TransferStep, run: TransferRun): Promise<StepEnd> {
  switch (step.kind) {
    case 'create-donor':
      return createDonor(move, run);
    case 'pause':
      return pauseStep(move, step.policy, run);
    case 'pull':
      return pull(move, step, run);
    case 'verify':
      return step.at === 'donor' ? verifyDonor(move, run) : await verifyMoved(move, run);
    case 'probe':
      return probe(step, run);
    case 'delete-old':
      return deleteOld(move, run);
    case 'change-path':
      return changePath(move, step, run);
    case 'retag':
      return retag(move, run);
    case 'push':
      return push(move, step, run);
    case 'resume':
      return resumeStep(move, run);
    case 'remove-donor':
      return removeDonor(move, run);
  }
}

async function verifyMoved(move: ProjectMove, run: TransferRun): Promise<StepEnd> {
  const end = await verifyTarget(move, run);
  if (end.end === 'done') await tellOldRules(move, run);
  return end;
}

/** What a step that threw came to. @throws TransshipError JOURNAL_WRITE_FAILED: nothing more may be done then */
function endOf(thrown: unknown, {interruption}: TransferRun): StepEnd {
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

function imagesOf(step: TransferStep): number {
  return step.kind === 'pull' || step.kind === 'push' ? step.copies.length : 0;
}

function ended(
  step: TransferStep,
  {outcome, error}: Omit<StepResult, 'id'>,
  {context}: TransferRun,
): void {
  context.report({
    type: 'step-ended',
    step: step.id,
    outcome,
    images: imagesOf(step),
    ...(error ? {error} : {}),
  });
}
