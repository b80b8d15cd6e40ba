import type {RunResult, StepResult} from '../model/outcome.ts';
import {copiesOf, type CopyPlan, unchosenSkips} from '../model/plan.ts';
import type {ApplyContext, Interruption} from './apply-context.ts';
import {runCopies} from './copy-run.ts';
import {findDrift, type PlanState} from './find-drift.ts';

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
  const total = {steps: plan.steps.length, blobs: plan.totals.blobs.copy, bytes: plan.totals.bytes};
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
  const {end, drift, steps, counts} = await runCopies(work, context, interruption);
  const {sent, ...blobs} = counts;
  const told = {plan: plan.id, steps, bytes: {sent}, blobs};
  if (drift.length === 0) {
    const isIncomplete = end === 'done' && unchosenSkips(plan).length > 0;
    return {...told, result: isIncomplete ? 'incomplete' : end};
  }
  // Before a failure: no run of this plan can do what failed any more, a new plan can.
  return {...told, result: end === 'interrupted' ? end : 'drift', drift};
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
function notBegun(plan: CopyPlan, state: PlanState | undefined): RunResult {
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
