import {TransshipError} from '../model/error.ts';
import type {RunResult, StepResult} from '../model/outcome.ts';
import {nameOf} from '../model/place.ts';
import {
  copiesOf,
  type CopyPlan,
  type CopyStep,
  type CreateStep,
  creationsOf,
  deletionsOf,
  unchosenSkips,
} from '../model/plan.ts';
import {isInside} from '../plan/create-steps.ts';
import {phaseOfPlan} from '../plan/phases.ts';
import {type ApplyContext, type Interruption, withJournalTimes} from './apply-context.ts';
import {type CopyRunResult, isOfImage, runCopies} from './copy-run.ts';
import {missingOf, type Namespaces, runCreations, withAbsent} from './creations.ts';
import {type DeletionResult, runDeletions} from './deletions.ts';
import {compareDestination, findDrift, sortedDrift, type PlanState} from './find-drift.ts';

/**
 * Applies a plan. Steps that are already done are detected and skipped, so applying again resumes or does nothing. A
 * failed step does not stop the others, unless the settings say so. If source or destination changed before the run,
 * nothing is written; a tag that changes during the run is not overwritten, and the other steps are done.
 * @throws TransshipError if the run cannot continue: the journal cannot be written, or a registry does not respond
 */
export async function runPlan(
  plan: CopyPlan,
  given: ApplyContext,
  interruption: Interruption,
): Promise<RunResult> {
  const context = withJournalTimes(given);
  const {report} = context;
  const images = plan.steps.length - deletionsOf(plan).length;
  const total = {
    steps: images,
    images: copiesOf(plan).filter(isOfImage).length,
    blobs: plan.totals.blobs.copy,
    bytes: plan.totals.bytes,
  };
  report({type: 'run-started', plan: plan.id, ...total});
  const state: PlanNow | undefined = context.fresh
    ? {done: new Set(), drift: [], unread: new Map(), missing: creationsOf(plan)}
    : await stateNow(plan, context, interruption);
  const ran =
    state === undefined || state.drift.length > 0
      ? notBegun(plan, state)
      : await carriedOut(plan, state, context, interruption);
  const result = context.limits?.mark(ran) ?? ran;
  await context.journal.end(result.result);
  reportEnd(result, context.report);
  return result;
}

/**
 * Applies the `delete` phase of a plan whose images other runs copied, if all of them are at their destinations. Moved
 * images are verified in this run, as in every run that deletes.
 * @param plan the whole plan, not a shard
 * @throws TransshipError COPIES_UNFINISHED, and as `runPlan`
 */
export async function runDeletePhase(
  plan: CopyPlan,
  context: ApplyContext,
  interruption: Interruption,
): Promise<RunResult> {
  const {stopping, aborted} = interruption;
  const call = {signal: AbortSignal.any([stopping, aborted])};
  const copies = copiesOf(plan);
  const {done} = await compareDestination(copies, context.repositories, call);
  const left = copies.filter(({id}) => !done.has(id));
  if (left.length > 0) throw copiesUnfinished(left, copies.length);
  return await runPlan(phaseOfPlan(plan, 'delete'), context, interruption);
}

function copiesUnfinished(left: readonly CopyStep[], total: number): TransshipError {
  const [first] = left;
  const example =
    first === undefined ? '' : `, such as ${nameOf(first.to, first.tag, first.digest)}`;
  return new TransshipError(
    'COPIES_UNFINISHED',
    `${left.length} of ${total} images are not at their destination as planned${example}: nothing is deleted`,
    {
      side: 'destination',
      hint: 'apply the plan, or all of its shards, and verify it; then run --phase delete again',
    },
  );
}

/** Reports the end of a run. */
export function reportEnd(
  {result, limit, steps, bytes}: RunResult,
  report: ApplyContext['report'],
): void {
  const count = (...outcomes: readonly StepResult['outcome'][]) =>
    steps.filter(({outcome}) => outcomes.includes(outcome)).length;
  const [done, failed] = [count('done', 'present'), count('failed', 'blocked')];
  const end = {result, ...(limit === undefined ? {} : {limit})};
  report({type: 'run-ended', ...end, done, failed, bytes: bytes.sent});
}

/** The current state of a plan. */
interface PlanNow extends PlanState {
  /** Groups and projects that do not exist. */
  readonly missing: readonly CreateStep[];
}

async function carriedOut(
  plan: CopyPlan,
  {done, missing, unread}: PlanNow,
  context: ApplyContext,
  interruption: Interruption,
): Promise<RunResult> {
  const created = await createdBefore(plan, missing, context, interruption);
  const {copies, heldBack} = heldBackBy(created, plan, context);
  const begun = copies.filter(({id}) => !unread.has(id));
  const work = {copies, blobs: blobsFor(begun, plan), manifests: plan.manifests, done, unread};
  const copied = await runCopies(work, context, interruption);
  const {sent, ...blobs} = copied.counts;
  const before = [...created, ...heldBack, ...copied.steps];
  const deletions = await deleted(plan, copied.end, before, context, interruption);
  const drift = sortedDrift([...copied.drift, ...deletions.drift]);
  const end = worseEnd(copied.end, deletions.end);
  const results = new Map([...before, ...deletions.steps].map((step) => [step.id, step]));
  const told = {
    plan: plan.id,
    steps: plan.steps.flatMap(({id}) => results.get(id) ?? []),
    bytes: {sent},
    blobs,
  };
  if (drift.length > 0) {
    // Drift has priority over a failure: only a new plan can complete the work.
    return {...told, result: end === 'interrupted' ? end : 'drift', drift};
  }
  const hasFailed = created.some(({error}) => error !== undefined);
  if (end === 'done' && hasFailed) return {...told, result: 'failed'};
  const isIncomplete = end === 'done' && unchosenSkips(plan).length > 0;
  return {...told, result: isIncomplete ? 'incomplete' : end};
}

async function createdBefore(
  plan: CopyPlan,
  missing: readonly CreateStep[],
  context: ApplyContext,
  interruption: Interruption,
): Promise<readonly StepResult[]> {
  const creations = creationsOf(plan);
  if (creations.length === 0) return [];
  return await runCreations(creations, missing, namespacesOf(context), context, interruption);
}

/** The copies that can be made, and those whose project or group could not be created. */
function heldBackBy(
  created: readonly StepResult[],
  plan: CopyPlan,
  {settings}: ApplyContext,
): {readonly copies: readonly CopyStep[]; readonly heldBack: readonly StepResult[]} {
  const errors = new Map(created.map(({id, error}) => [id, error]));
  const failed = creationsOf(plan).filter(({id}) => errors.get(id) !== undefined);
  if (failed.length === 0) return {copies: copiesOf(plan), heldBack: []};
  const copies: CopyStep[] = [];
  const heldBack: StepResult[] = [];
  for (const copy of copiesOf(plan)) {
    const error = errors.get(failed.find((step) => isInside(copy.to, step))?.id ?? '');
    if (error) heldBack.push({id: copy.id, outcome: 'blocked', error});
    else if (settings.onFailure === 'stop') heldBack.push({id: copy.id, outcome: 'not-started'});
    else copies.push(copy);
  }
  return {copies, heldBack};
}

/** The blobs for repositories that receive an image in this run; no blob is copied only to be mounted elsewhere. */
function blobsFor(copies: readonly CopyStep[], plan: CopyPlan): CopyPlan['blobs'] {
  if (copies.length === copiesOf(plan).length) return plan.blobs;
  const repositories = new Set(copies.map(({to}) => to));
  return plan.blobs.filter(({to}) => repositories.has(to));
}

/**
 * Deletes, unless the run ended early: the run that completes the copies deletes, too.
 * @param before the results of the creations and copies
 */
async function deleted(
  plan: CopyPlan,
  end: CopyRunResult['end'],
  before: readonly StepResult[],
  context: ApplyContext,
  interruption: Interruption,
): Promise<DeletionResult> {
  const deletions = deletionsOf(plan);
  if (deletions.length === 0) return {end: 'done', drift: [], steps: []};
  const isStopped =
    context.settings.onFailure === 'stop' && before.some(({error}) => error !== undefined);
  if (end !== 'interrupted' && !isStopped)
    return await runDeletions(plan, before, context, interruption);
  const steps = deletions.map(({id}) => ({id, outcome: 'not-started' as const}));
  return {end, drift: [], steps};
}

function worseEnd(a: CopyRunResult['end'], b: DeletionResult['end']): CopyRunResult['end'] {
  return (['interrupted', 'failed'] as const).find((end) => end === a || end === b) ?? 'done';
}

/** The current state; undefined: interrupted. It only reads, so the first signal ends it immediately. */
async function stateNow(
  plan: CopyPlan,
  context: ApplyContext,
  {stopping, aborted}: Interruption,
): Promise<PlanNow | undefined> {
  const call = {signal: AbortSignal.any([stopping, aborted])};
  const creations = creationsOf(plan);
  try {
    const missing =
      creations.length === 0 ? [] : await missingOf(creations, namespacesOf(context), call);
    const repositories = withAbsent(context.repositories, missing);
    return {...(await findDrift(copiesOf(plan), repositories, call)), missing};
  } catch (error) {
    if (stopping.aborted) return undefined;
    throw error;
  }
}

function namespacesOf({namespaces}: ApplyContext): Namespaces {
  if (namespaces !== undefined) return namespaces;
  throw new Error('a plan that creates groups or projects was applied without a GitLab');
}

/** The result of a run that started no step. @param state undefined: interrupted before the state was known */
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
