import type {RunResult, StepResult} from '../../model/outcome.ts';
import type {TransferPlan, TransferStep} from '../../model/transfer-plan.ts';
import {interrupted, isInterrupted} from '../../model/error.ts';
import type {Interruption} from '../apply-context.ts';
import {reportEnd} from '../apply-plan.ts';
import {errorData} from '../../model/event.ts';
import {isJournalFailure} from '../journal-file.ts';
import {planWithAdopted} from './adopt-tags.ts';
import {adopted, begin} from './begin.ts';
import {changePath} from './change-path.ts';
import {deleteOld} from './delete-old.ts';
import {createDonor} from './donor.ts';
import {copySetOf, verifyDonor, verifyTarget} from './verify-place.ts';
import {pauseStep, resumePolicies, resumeStep, tellOldRules} from './policy.ts';
import {probe, pull, push, retag} from './pull-retag-push.ts';
import {removeDonor} from './remove-donor.ts';
import {
  newProgress,
  type RunSize,
  sizeOf,
  type StepEnd,
  stepResult,
  Tally,
  type TransferContext,
  type TransferRun,
} from './transfer-run.ts';
import {doneOf, locateProject, standingOf} from './standing.ts';

/** How often tags are taken along that came while the old path was emptied: somebody who pushes all the time wins. */
const ADOPTION_LIMIT = 5;

/**
 * Carries a transfer out, step by step, each proved before the next. Nothing is believed that an earlier run wrote
 * down: each step finds out what there is left to do, so that applying again goes on wherever a run ended.
 * @throws TransshipError where the run cannot begin (USAGE, NAME_TAKEN, DRIFT, DONOR_ABSENT, PROJECT_NOT_FOUND), and
 *   JOURNAL_WRITE_FAILED
 */
export async function applyTransfer(
  whole: TransferPlan,
  context: TransferContext,
  interruption: Interruption,
): Promise<RunResult> {
  const {report, journal} = context;
  const plan = context.removesDonor ? whole : withoutRemoval(whole);
  const call = {signal: interruption.aborted};
  const where = await locateProject(plan, context, call);
  const run: TransferRun = {
    context,
    interruption,
    call,
    reading: {signal: AbortSignal.any([interruption.stopping, interruption.aborted])},
    progress: newProgress(where),
  };
  if (!isUntouched(run)) context.limits?.lift();
  try {
    const ran = await runAll(plan, run);
    const result = context.limits?.mark(ran) ?? ran;
    await journal.end(result.result);
    reportEnd(result, report);
    return result;
  } catch (error) {
    if (!isJournalFailure(error) && isUntouched(run)) await resumePolicies(plan, context, call);
    throw error;
  }
}

/** Nobody may come back to this plan: nothing of the run has to stay as it is. */
function isUntouched({context, progress}: TransferRun): boolean {
  return progress.where === 'before' && context.journal.unfinished.deleted.size === 0;
}

async function runAll(plan: TransferPlan, run: TransferRun): Promise<RunResult> {
  const {context, progress} = run;
  const tally = new Tally(plan.id);
  const known = await planWithAdopted(plan, run);
  const begun = progress.where === 'before' ? await begin(known, run) : {plan: known};
  const current = 'plan' in begun ? begun.plan : known;
  context.report({type: 'run-started', plan: plan.id, ...announced(current, run)});
  const ran =
    'stop' in begun ? stopped(plan, tally, begun.stop) : await runSteps(begun.plan, run, tally);
  if (ran.result === 'done' || isUntouched(run)) await resumePolicies(plan, context, run.call);
  return withStanding(current, ran, run);
}

/** The images stay at the donor until somebody says that they may go. */
function withoutRemoval(plan: TransferPlan): TransferPlan {
  return {...plan, steps: plan.steps.filter(({kind}) => kind !== 'remove-donor')};
}

function withStanding(
  plan: TransferPlan,
  ran: RunResult,
  {context, progress}: TransferRun,
): RunResult {
  const {deleted, paused} = context.journal.unfinished;
  const transfer = standingOf(plan, {
    project: progress.where,
    gone: deleted.size,
    done: doneOf(ran.steps),
    isPaused: paused.has(plan.project.id),
    end: ran.result,
    isRollback: false,
  });
  return {...ran, ...(transfer === undefined ? {} : {transfer})};
}

function stopped(plan: TransferPlan, tally: Tally, stop: StepEnd): RunResult {
  for (const {id} of plan.steps) tally.add(id, {end: 'not-started'});
  return stop.end === 'drift' ? tally.result('drift', stop.drift) : tally.result('interrupted');
}

async function runSteps(planned: TransferPlan, run: TransferRun, tally: Tally): Promise<RunResult> {
  let plan = planned;
  let last: StepEnd = {end: 'present'};
  let adoptions = 0;
  for (let at = 0; at < plan.steps.length; at += 1) {
    const step = plan.steps[at];
    if (step === undefined) break;
    if (last.end !== 'done' && last.end !== 'present') {
      ended(step, {outcome: 'not-started'}, run);
      tally.add(step.id, {end: 'not-started'});
      continue;
    }
    last = await runStep(plan, step, run);
    tally.add(step.id, last);
    if (step.kind !== 'delete-old' || last.end !== 'drift' || adoptions >= ADOPTION_LIMIT) continue;
    const extended = await adopted(plan, last.drift, run);
    if (extended === undefined) continue;
    // What came meanwhile has to be pulled and proved before anything more is deleted.
    plan = extended;
    run.progress.isDonorProved = false;
    adoptions += 1;
    last = {end: 'done'};
    at = plan.steps.findIndex(({kind}) => kind === 'pull') - 1;
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

async function runStep(plan: TransferPlan, step: TransferStep, run: TransferRun): Promise<StepEnd> {
  const {context, interruption} = run;
  const {id} = step;
  if (interruption.stopping.aborted) {
    ended(step, {outcome: 'not-started'}, run);
    return {end: 'not-started'};
  }
  // A limit must not leave the project without its images, or half-way to its new path. What an earlier run deleted is
  // known by now, also where its journal is lost.
  const isIrreversible = step.kind === 'delete-old' || step.kind === 'change-path';
  if (isIrreversible || !isUntouched(run)) context.limits?.lift();
  context.report({type: 'step-started', step: id, images: imagesOf(step)});
  const end = await handle(plan, step, run).catch((error: unknown) => endOf(error, run));
  const result = stepResult(id, end);
  const {outcome, error} = result;
  if (outcome !== 'interrupted' && outcome !== 'not-started')
    await context.journal.append({type: 'step', id, outcome, ...(error ? {error} : {})});
  ended(step, result, run);
  return end;
}

async function handle(plan: TransferPlan, step: TransferStep, run: TransferRun): Promise<StepEnd> {
  switch (step.kind) {
    case 'create-donor':
      return createDonor(plan, run);
    case 'pause':
      return pauseStep(plan, step.policy, run);
    case 'pull':
      return pull(plan, step, run);
    case 'verify':
      return step.at === 'donor' ? verifyDonor(plan, run) : await verifyMoved(plan, run);
    case 'probe':
      return probe(step, run);
    case 'delete-old':
      return deleteOld(plan, run);
    case 'change-path':
      return changePath(plan, step, run);
    case 'retag':
      return retag(plan, run);
    case 'push':
      return push(plan, step, run);
    case 'resume':
      return resumeStep(plan, run);
    case 'remove-donor':
      return removeDonor(plan, run);
  }
}

async function verifyMoved(plan: TransferPlan, run: TransferRun): Promise<StepEnd> {
  const end = await verifyTarget(plan, run);
  if (end.end === 'done') await tellOldRules(plan, run);
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

/** Each image counts once. Once the project has left its old path nothing is pulled any more. */
function announced(plan: TransferPlan, {progress}: TransferRun): RunSize {
  const ways = progress.where === 'before' ? (['pull', 'push'] as const) : (['push'] as const);
  return {
    ...sizeOf(ways.map((way) => copySetOf(plan, way))),
    steps: sizeOf([copySetOf(plan, 'push')]).steps,
  };
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
