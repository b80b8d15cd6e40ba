import type {RunResult, StepResult} from '../model/outcome.ts';
import type {CopyPlan} from '../model/plan.ts';
import type {ApplyContext, Interruption} from './apply-context.ts';
import {carryCopies} from './carry-copies.ts';
import {findDrift, type PlanState} from './find-drift.ts';

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
  const state: PlanState | undefined = context.fresh
    ? {done: new Set(), drift: []}
    : await stateNow(plan, context, interruption);
  const result =
    state === undefined || state.drift.length > 0
      ? notBegun(plan, state?.drift)
      : await carried(plan, state, context, interruption);
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

async function carried(
  plan: CopyPlan,
  {done}: PlanState,
  context: ApplyContext,
  interruption: Interruption,
): Promise<RunResult> {
  const {steps: copies, blobs: actions, manifests} = plan;
  const cargo = {copies, blobs: actions, manifests, done};
  const {end, steps, counts} = await carryCopies(cargo, context, interruption);
  const {sent, ...blobs} = counts;
  return {plan: plan.id, result: end, steps, bytes: {sent}, blobs};
}

/** Undefined: it was interrupted. It only reads, so there is nothing to finish: the first signal ends it. */
async function stateNow(
  {steps}: CopyPlan,
  {repositories}: ApplyContext,
  {stopping, aborted}: Interruption,
): Promise<PlanState | undefined> {
  try {
    return await findDrift(steps, repositories, {signal: AbortSignal.any([stopping, aborted])});
  } catch (error) {
    if (stopping.aborted) return undefined;
    throw error;
  }
}

function notBegun(plan: CopyPlan, drift: PlanState['drift'] | undefined): RunResult {
  return {
    plan: plan.id,
    result: drift === undefined ? 'interrupted' : 'drift',
    steps: plan.steps.map(({id}) => ({id, outcome: 'not-started'})),
    bytes: {sent: 0},
    blobs: {copied: 0, mounted: 0, present: 0},
    ...(drift === undefined ? {} : {drift}),
  };
}
