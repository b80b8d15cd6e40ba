import type {RunResult, StepResult} from '../model/outcome.ts';
import {copiesOf, type CopyPlan, deletionsOf, unchosenSkips} from '../model/plan.ts';
import type {ApplyContext, Interruption} from './apply-context.ts';
import {type CopyRunResult, runCopies} from './copy-run.ts';
import {type DeletionResult, runDeletions} from './deletions.ts';
import {findDrift, inOrder, type PlanState} from './find-drift.ts';

/**
 * Carries a plan out. What is done already is found out and left alone, so that applying again goes on or does nothing.
 * A failed step does not stop the others, unless the settings say so. Nothing is written where the world has drifted
 * before the run; a tag that changes during the run is left alone, and the others are done.
 * @throws TransshipError when the run cannot go on at all: the journal cannot be written, a registry cannot be asked
 */
export async function applyPlan(
  plan: CopyPlan,
  context: ApplyContext,
  interruption: Interruption,
): Promise<RunResult> {
  const {report} = context;
  const images = plan.steps.length - deletionsOf(plan).length;
  const total = {steps: images, blobs: plan.totals.blobs.copy, bytes: plan.totals.bytes};
  report({type: 'run-started', plan: plan.id, ...total});
  const state: PlanState | undefined = context.fresh
    ? {done: new Set(), drift: []}
    : await stateNow(plan, context, interruption);
  const result =
    state === undefined || state.drift.length > 0
      ? notBegun(plan, state)
      : await copied(plan, state, context, interruption);
  await context.journal.end(result.result);
  reportEnd(result, context.report);
  return result;
}

/** Tells what came of a run, in numbers. */
export function reportEnd({result, steps, bytes}: RunResult, report: ApplyContext['report']): void {
  const count = (...outcomes: readonly StepResult['outcome'][]) =>
    steps.filter(({outcome}) => outcomes.includes(outcome)).length;
  const [done, failed] = [count('done', 'present'), count('failed', 'blocked')];
  report({type: 'run-ended', result, done, failed, bytes: bytes.sent});
}

async function copied(
  plan: CopyPlan,
  {done}: PlanState,
  context: ApplyContext,
  interruption: Interruption,
): Promise<RunResult> {
  const {blobs: actions, manifests} = plan;
  const work = {copies: copiesOf(plan), blobs: actions, manifests, done};
  const copies = await runCopies(work, context, interruption);
  const {sent, ...blobs} = copies.counts;
  const deletions = await deleted(plan, copies, context, interruption);
  const drift = inOrder([...copies.drift, ...deletions.drift]);
  const end = worseEnd(copies.end, deletions.end);
  const steps = [...copies.steps, ...deletions.steps];
  const told = {plan: plan.id, steps, bytes: {sent}, blobs};
  if (drift.length === 0) {
    const isIncomplete = end === 'done' && unchosenSkips(plan).length > 0;
    return {...told, result: isIncomplete ? 'incomplete' : end};
  }
  // Before a failure: no run of this plan can do what failed any more, a new plan can.
  return {...told, result: end === 'interrupted' ? end : 'drift', drift};
}

/** What a run that ended early copied is not deleted yet: that is for the run that completes it. */
async function deleted(
  plan: CopyPlan,
  copies: CopyRunResult,
  context: ApplyContext,
  interruption: Interruption,
): Promise<DeletionResult> {
  const deletions = deletionsOf(plan);
  if (deletions.length === 0) return {end: 'done', drift: [], steps: []};
  const isEnded =
    copies.end === 'interrupted' ||
    (copies.end === 'failed' && context.settings.onFailure === 'stop');
  if (!isEnded) return await runDeletions(plan, copies.steps, context, interruption);
  const steps = deletions.map(({id}) => ({id, outcome: 'not-started' as const}));
  return {end: copies.end, drift: [], steps};
}

function worseEnd(a: CopyRunResult['end'], b: DeletionResult['end']): CopyRunResult['end'] {
  return (['interrupted', 'failed'] as const).find((end) => end === a || end === b) ?? 'done';
}

/** Undefined: it was interrupted. It only reads, so there is nothing to finish: the first signal ends it. */
async function stateNow(
  plan: CopyPlan,
  {repositories}: ApplyContext,
  {stopping, aborted}: Interruption,
): Promise<PlanState | undefined> {
  try {
    return await findDrift(copiesOf(plan), repositories, {
      signal: AbortSignal.any([stopping, aborted]),
    });
  } catch (error) {
    if (stopping.aborted) return undefined;
    throw error;
  }
}

/** @param state undefined: it was interrupted before that was known */
export function notBegun(plan: CopyPlan, state: PlanState | undefined): RunResult {
  return {
    plan: plan.id,
    result: state === undefined ? 'interrupted' : 'drift',
    steps: plan.steps.map(({id}) => ({
      id,
      outcome: state?.done.has(id) === true ? 'present' : 'not-started',
    })),
    bytes: {sent: 0},
    blobs: {copied: 0, mounted: 0, present: 0},
    ...(state === undefined ? {} : {drift: state.drift}),
  };
}
