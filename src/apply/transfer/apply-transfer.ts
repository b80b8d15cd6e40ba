import type {RunResult} from '../../model/outcome.ts';
import {
  type TransferPlan,
  type TransferStep,
  type TransferUnit,
  unitsOf,
} from '../../model/transfer-plan.ts';
import {type Interruption, withJournalTimes} from '../apply-context.ts';
import {reportEnd} from '../apply-plan.ts';
import {deletedOf} from '../unfinished.ts';
import {mayDeleteTags} from './begin.ts';
import {groupNotStarted, notStarted, resultOf, type UnitEnd} from './plan-result.ts';
import {resumePolicies} from './policy.ts';
import {
  type PlanRun,
  projectRun,
  type ProjectLocation,
  type TransferContext,
  type TransferRun,
} from './transfer-run.ts';
import {
  announced,
  type FoundUnit,
  lookAtUnit,
  type OpenProject,
  type OpenRun,
  runUnit,
} from './unit-run.ts';

/**
 * Carries out a transfer plan, one project or group after the other; each is finished before the next one begins. Those
 * that an earlier run began come first, because their images may be only at a donor. If there are none, all are
 * examined before the first change, and a problem with one of them prevents the run.
 * @throws TransshipError if the run cannot begin (USAGE, NAME_TAKEN, DRIFT, DONOR_ABSENT, PROJECT_NOT_FOUND), and
 *   JOURNAL_WRITE_FAILED
 */
export async function applyTransfer(
  whole: TransferPlan,
  given: TransferContext,
  interruption: Interruption,
): Promise<RunResult> {
  const context = withJournalTimes(given);
  const plan = context.removesDonor ? whole : withoutRemoval(whole);
  const {stopping, aborted} = interruption;
  const run: OpenRun = {
    context,
    interruption,
    call: {signal: aborted},
    reading: {signal: AbortSignal.any([stopping, aborted])},
    finished: new Set(),
  };
  const found: FoundUnit[] = [];
  for (const unit of unitsOf(plan))
    found.push(await lookAtUnit(unit, (own) => ofPlan(own, plan), run));
  const units = await endsOf(found, plan, run);
  const ends = units.flatMap((unit) => unit.ends);
  await resumePolicies(plan, ends, run);
  const ran = resultOf(plan, units, {isRollback: false});
  const result = context.limits?.mark(ran) ?? ran;
  await context.journal.end(result.result);
  reportEnd(result, context.report);
  return result;
}

function ofPlan({move, run, where}: Parameters<OpenProject>[0], plan: TransferPlan): TransferRun {
  return projectRun(move, plan, run, where);
}

/** The plan without the removal of donors, which the user has to request. */
function withoutRemoval(plan: TransferPlan): TransferPlan {
  const moves = plan.moves.map(({fallback, ...move}) => ({
    ...move,
    steps: exceptRemoval(move.steps),
    ...(fallback && {fallback: {...fallback, steps: exceptRemoval(fallback.steps)}}),
  }));
  return {...plan, moves};
}

function exceptRemoval(steps: readonly TransferStep[]): readonly TransferStep[] {
  return steps.filter(({kind}) => kind !== 'remove-donor');
}

/**
 * An earlier run moved one of its projects from its old path, or began to delete images, and did not complete the move.
 */
function isUnderWay({projects, group}: FoundUnit, {context}: PlanRun): boolean {
  const {unfinished} = context.journal;
  return (
    (projects.length === 0 && hasLeft(group?.run?.progress.where)) ||
    projects.some(({planned: {project}, run}) => {
      const isOpen = hasLeft(run?.progress.where) && !unfinished.completed.has(project.id);
      return isOpen || deletedOf(unfinished, project.id).length > 0;
    })
  );
}

function hasLeft(where: ProjectLocation | undefined): boolean {
  return where !== undefined && where !== 'before';
}

function hasDrift({projects, group}: FoundUnit): boolean {
  const isHeld = group?.held !== undefined && 'drift' in group.held;
  return isHeld || projects.some(({begun}) => 'drift' in begun);
}

async function endsOf(
  found: readonly FoundUnit[],
  plan: TransferPlan,
  run: OpenRun,
): Promise<readonly UnitEnd[]> {
  const isFresh = !found.some((one) => isUnderWay(one, run));
  const isHeld = isFresh && found.some(hasDrift);
  let mayBegin = isHeld;
  try {
    if (isFresh || found.length === 1) throwFirst(found, isFresh);
    mayBegin ||= await isAgreed(found, run);
  } catch (error) {
    // This plan may never be applied again, so nothing of an earlier run has to be kept.
    await resumePolicies(plan, found.flatMap(({projects}) => projects).map(notStarted), run);
    throw error;
  }
  run.context.report({type: 'run-started', plan: plan.id, ...announced(found)});
  if (!mayBegin) return found.map(unitNotStarted);
  const inTurn = found.toSorted((a, b) => Number(isUnderWay(b, run)) - Number(isUnderWay(a, run)));
  const ends: UnitEnd[] = [];
  let isStopped = false;
  for (const [at, one] of inTurn.entries()) {
    // A limit may end the run only between projects, so that no project is left without its images.
    if (isUnderWay(one, run)) run.context.limits?.lift();
    else if (at > 0) run.context.limits?.restore();
    isStopped ||= at > 0 && run.interruption.stopping.aborted;
    if (isStopped || (isHeld && !hasDrift(one))) {
      ends.push(unitNotStarted(one));
      continue;
    }
    // The project may have changed while the others were moved.
    const now =
      at === 0 || isHeld ? one : await lookAtUnit(unitOf(one), (own) => ofPlan(own, plan), run);
    const number = 1 + inTurn.slice(0, at).reduce((sum, {projects}) => sum + projects.length, 0);
    const end = await runUnit(now, {number, of: plan.moves.length}, run);
    ends.push(end);
    isStopped = stops(end, run);
  }
  return ends;
}

function unitOf({projects, group}: FoundUnit): TransferUnit {
  return group?.planned ?? {moves: projects.map(({planned}) => planned)};
}

function unitNotStarted({projects, group}: FoundUnit): UnitEnd {
  const own = group && groupNotStarted(group.planned.group, group.run?.progress.where);
  return {
    ends: projects.map(notStarted),
    result: 'not-started',
    ...(own === undefined ? {} : {group: own}),
  };
}

/**
 * @param isFresh whether nothing is under way; otherwise, a project of a group that cannot be carried out does not
 *   prevent the others
 * @throws the reason that prevents the first of them from beginning
 */
function throwFirst(found: readonly FoundUnit[], isFresh: boolean): void {
  for (const {projects, group} of found) {
    if (group?.held !== undefined && 'error' in group.held) throw group.held.error;
    if (!isFresh && hasLeft(group?.run?.progress.where)) continue;
    for (const {begun} of projects) if ('error' in begun) throw begun.error;
  }
}

/** Whether the following projects are not moved. */
function stops({result}: UnitEnd, {context}: PlanRun): boolean {
  if (result === 'interrupted' || result === 'not-started') return true;
  return result !== 'done' && context.settings.onFailure === 'stop';
}

/** Asks once for all projects. @throws TransshipError USAGE if nobody can be asked */
export async function isAgreed(found: readonly FoundUnit[], {context}: PlanRun): Promise<boolean> {
  const deleting = found
    .flatMap(({projects}) => projects)
    .flatMap(({planned, begun}) =>
      'deletes' in begun && begun.deletes.length > 0 ? [{planned, deletes: begun.deletes}] : [],
    );
  return await mayDeleteTags(deleting, context);
}
