import {isInterrupted} from '../../model/error.ts';
import {errorData} from '../../model/event.ts';
import type {RunResult} from '../../model/outcome.ts';
import {
  type ProjectMove,
  type TransferPlan,
  type TransferUnit,
  unitsOf,
} from '../../model/transfer-plan.ts';
import {type Interruption, withJournalTimes} from '../apply-context.ts';
import {reportEnd} from '../apply-plan.ts';
import {isJournalFailure} from '../journal-file.ts';
import {deletedOf} from '../unfinished.ts';
import {moveWithAdopted} from './adopt-tags.ts';
import {oldName, readOldTags} from './delete-old.ts';
import {
  endProject,
  groupNotStarted,
  NOTHING_RAN,
  notStarted,
  type ProjectEnd,
  resultOf,
  type UnitEnd,
} from './plan-result.ts';
import {resumePolicies} from './policy.ts';
import {untilNoneDeleted} from './delete-group-records.ts';
import {locateGroup, locateProject} from './locate.ts';
import {isLeftBehind, wayOfRun} from './native-way.ts';
import {backward, reversedUnit} from './reversed-unit.ts';
import {isAgreed} from './apply-transfer.ts';
import {type Restorable, takeProjectBack} from './put-back.ts';
import {
  announced,
  type FoundUnit,
  lookAtUnit,
  type OpenProject,
  type OpenRun,
  runUnit,
} from './unit-run.ts';
import {
  OTHER_WAY_ROUND,
  type PlanRun,
  type ProjectLocation,
  projectRun,
  sizeOf,
  sumOfSizes,
  type TransferContext,
  type TransferRun,
} from './transfer-run.ts';

/**
 * Rolls back transfers from any state, the last one first: every image that is gone from the old path of a project is
 * restored from the donor, and the cleanup policy is as before. A project or group that has left its old path is moved
 * back by way of the donor, like it was moved there, if GitLab's conditions for that are met. If the donor is absent,
 * images that the registry still has are restored at the old path. A tag that somebody else pushed is not deleted.
 * Projects that were not started are not changed. A second rollback changes nothing.
 * @throws TransshipError ROLLBACK_TOO_LATE with the reason if nothing can be rolled back; USAGE if tags at a new path
 *   have to be deleted and nobody can be asked; if the plan has one project, the refusals of the registry and of GitLab
 */
export async function rollbackTransfer(
  plan: TransferPlan,
  given: TransferContext,
  interruption: Interruption,
): Promise<RunResult> {
  const context = withJournalTimes(given);
  const call = {signal: interruption.aborted};
  // This comparison has no intermediate results, so it is not interrupted.
  const run: OpenRun = {context, interruption, call, reading: call, finished: new Set()};
  const found: FoundBack[] = [];
  for (const unit of unitsOf(plan)) found.push(await lookBack(unit, plan, run));
  const errors = found.flatMap((one) => ('error' in one ? [one.error] : []));
  const back = found.filter((one) => 'restorable' in one || 'reversed' in one).toReversed();
  if (errors.length > 0 && back.length === 0) throw errors[0];
  const reversed = back.flatMap((one) => ('reversed' in one ? [one.reversed] : []));
  if (!(await isAgreed(reversed, run))) return await notAgreed(found, plan, run);
  const restored = back.flatMap((one) => ('restorable' in one ? one.restorable : []));
  const sizes = [...restored.map(({way}) => sizeOf([way])), announced(reversed)];
  context.report({type: 'run-started', plan: plan.id, ...sumOfSizes(sizes)});
  const units = found.flatMap((one) =>
    'restorable' in one || 'reversed' in one ? [] : [endOfOther(one)],
  );
  let isStopped = false;
  let number = 1;
  for (const one of back) {
    if (isStopped) {
      units.push(unitNotStarted(one));
      continue;
    }
    const end = await takeUnitBack(one, {number, of: plan.moves.length}, plan, run);
    units.push(end);
    number += one.unit.moves.length;
    isStopped =
      interruption.stopping.aborted ||
      (end.result === 'failed' && context.settings.onFailure === 'stop');
  }
  return await endedRollback(units, plan, run);
}

async function endedRollback(
  units: readonly UnitEnd[],
  plan: TransferPlan,
  run: PlanRun,
): Promise<RunResult> {
  const {context} = run;
  const ends = units.flatMap((unit) => unit.ends);
  await resumePolicies(plan, ends, run);
  const result = resultOf(plan, units, {isRollback: true});
  await context.journal.end(result.result);
  reportEnd(result, context.report);
  return result;
}

async function notAgreed(
  found: readonly FoundBack[],
  plan: TransferPlan,
  run: PlanRun,
): Promise<RunResult> {
  const size = {steps: 0, blobs: 0, bytes: 0};
  run.context.report({type: 'run-started', plan: plan.id, ...size});
  return await endedRollback(found.map(unitNotStarted), plan, run);
}

/** A project or a group before its rollback. */
type FoundBack = {readonly unit: TransferUnit; readonly where?: ProjectLocation} & (
  | {
      /** At the old path: those projects that were started; the others are not changed. */
      readonly restorable: readonly Restorable[];
      readonly others: readonly {readonly planned: ProjectMove; readonly run: TransferRun}[];
    }
  /** It has left its old path. */
  | {readonly reversed: FoundUnit}
  | {readonly untouched: readonly {readonly planned: ProjectMove; readonly run: TransferRun}[]}
  | {readonly error: unknown}
);

/** @throws errors that concern the whole run: JOURNAL_WRITE_FAILED, and an interruption */
async function lookBack(unit: TransferUnit, plan: TransferPlan, run: PlanRun): Promise<FoundBack> {
  const {interruption} = run;
  let where: ProjectLocation | undefined;
  try {
    where = await locateUnit(unit, run);
    if (where !== 'before') return {unit, where, reversed: await lookAtReversed(unit, plan, run)};
    const restorable: Restorable[] = [];
    const others: {planned: ProjectMove; run: TransferRun}[] = [];
    for (const planned of unit.moves) {
      const one = await lookAtOld(planned, plan, run);
      if ('way' in one) restorable.push(one);
      else others.push(one);
    }
    return restorable.length > 0
      ? {unit, where, restorable, others}
      : {unit, where, untouched: others};
  } catch (error) {
    if (isJournalFailure(error) || interruption.aborted.aborted) throw error;
    return {unit, ...(where === undefined ? {} : {where}), error};
  }
}

async function locateUnit(
  {group, moves}: TransferUnit,
  {context, call}: PlanRun,
): Promise<ProjectLocation> {
  if (group !== undefined) return locateGroup(group, context, call);
  const [move] = moves;
  return move === undefined ? 'before' : locateProject(move, undefined, context, call);
}

async function lookAtOld(
  planned: ProjectMove,
  plan: TransferPlan,
  run: PlanRun,
): Promise<Restorable | {readonly planned: ProjectMove; readonly run: TransferRun}> {
  const own = projectRun(planned, plan, run, 'before');
  // Nothing is deleted during a rollback: tags that were included and are at the old path again are as before.
  const lookout = {...own, context: {...run.context, adoptNewTags: true}};
  const move = await moveWithAdopted(await wayOfRun(planned, own), lookout);
  const {drift} = await readOldTags(move, own);
  const missing = drift.filter(({actual}) => actual === null).map(oldName);
  if (plan.moves.length > 1 && !(await wasBegun(move, own))) return {planned, run: own};
  return {planned, move, run: own, way: backward(move), missing};
}

/** The reverse move, with the tags that were included. @throws TransshipError ROLLBACK_TOO_LATE */
async function lookAtReversed(
  unit: TransferUnit,
  plan: TransferPlan,
  run: PlanRun,
): Promise<FoundUnit> {
  const moves: ProjectMove[] = [];
  const leftBehind = new Set<number>();
  for (const planned of unit.moves) {
    const where = await locateProject(planned, unit.group, run.context, run.call);
    const own = projectRun(planned, plan, run, where);
    const move = await moveWithAdopted(await wayOfRun(planned, own), own);
    moves.push(move);
    if (move.way === 'native' && (await isLeftBehind(move, own))) leftBehind.add(move.project.id);
  }
  const whole = unit.group === undefined ? {moves} : {group: unit.group, moves};
  const back = await reversedUnit(whole, run.context, run.call);
  const groups = back.group === undefined ? {} : {groups: [back.group]};
  const oldNames = new Map(
    back.moves.flatMap(({repositories}) => repositories.map(({from, to}) => [from, to])),
  );
  const open: OpenProject = ({move, run: own, where}) => {
    const opened = projectRun(move, {moves: back.moves, ...groups}, own, where);
    return {
      ...opened,
      journalName: (repository) => oldNames.get(repository) ?? repository,
      progress: {...opened.progress, isLeftBehind: leftBehind.has(move.project.id)},
    };
  };
  return await lookAtUnit(back, open, run);
}

/** The result of a project or a group that is not rolled back. */
function endOfOther(found: FoundBack): UnitEnd {
  const end = unitNotStarted(found);
  if ('error' in found) {
    const error = errorData(found.error);
    const failed = (one: ProjectEnd): ProjectEnd => ({
      ...one,
      ran: {...one.ran, result: 'failed'},
      error,
    });
    const group = end.group === undefined ? {} : {group: {...end.group, error}};
    return {...end, ends: end.ends.map(failed), ...group, result: 'failed'};
  }
  return {...end, ends: end.ends.map(asItWas), result: 'done'};
}

function asItWas(end: ProjectEnd): ProjectEnd {
  return {...end, ran: {...end.ran, result: 'done', steps: []}};
}

function unitNotStarted(found: FoundBack): UnitEnd {
  const runs = new Map(projectsOf(found).map(({planned, run}) => [planned.project.id, run]));
  const {unit, where} = found;
  const ends = unit.moves.map((planned) =>
    notStarted({planned, run: runs.get(planned.project.id)}),
  );
  const group = unit.group === undefined ? {} : {group: groupNotStarted(unit.group, where)};
  return {ends, result: 'not-started', ...group};
}

function projectsOf(
  found: FoundBack,
): readonly {readonly planned: ProjectMove; readonly run: TransferRun | undefined}[] {
  if ('restorable' in found) return [...found.restorable, ...found.others];
  return 'untouched' in found ? found.untouched : [];
}

async function takeUnitBack(
  found: Extract<FoundBack, {restorable: unknown} | {reversed: unknown}>,
  first: {readonly number: number; readonly of: number},
  plan: TransferPlan,
  run: OpenRun,
): Promise<UnitEnd> {
  const {unit} = found;
  if ('reversed' in found) return await moveUnitBack(unit, found.reversed, first, run);
  const {group} = unit;
  try {
    // GitLab would delete what is pushed to a repository that it is deleting.
    if (group !== undefined) await untilNoneDeleted({...unit, group}, run);
  } catch (error) {
    if (unit.moves.length === plan.moves.length || isInterrupted(error)) throw error;
    return endOfOther({...found, error});
  }
  const ends: ProjectEnd[] = found.others.map((one) => asItWas(notStarted(one)));
  for (const [at, one] of found.restorable.toReversed().entries()) {
    const {from, to} = one.planned.project;
    run.context.report({
      type: 'project-started',
      from,
      to,
      number: first.number + at,
      of: first.of,
    });
    ends.push(await endProject(await takeProjectBack(one, plan), run));
  }
  const results = ends.map(({ran}) => ran.result);
  const result =
    (['interrupted', 'drift', 'failed'] as const).find((end) => results.includes(end)) ?? 'done';
  const own = group && {...groupNotStarted(group, 'before'), ran: {...NOTHING_RAN, steps: []}};
  return {ends, result, ...(own === undefined ? {} : {group: own})};
}

/** From the new path to the old one. */
async function moveUnitBack(
  unit: TransferUnit,
  reversed: FoundUnit,
  first: {readonly number: number; readonly of: number},
  run: OpenRun,
): Promise<UnitEnd> {
  const {journal} = run.context;
  for (const {project} of unit.moves) await journal.append({type: 'rollback', project: project.id});
  const end = await runUnit(reversed, first, run);
  const planned = new Map(unit.moves.map((move) => [move.project.id, move]));
  const ends = end.ends.map((one): ProjectEnd => {
    const {move} = one;
    return {...one, move: planned.get(move.project.id) ?? move, reversed: move};
  });
  const {group} = unit;
  const where = end.group?.where;
  const own = group && end.group && {...end.group, group, where: where && OTHER_WAY_ROUND[where]};
  return {ends, result: end.result, ...(own === undefined ? {} : {group: own})};
}

/**
 * Whether an earlier run changed anything of a project at its old path. The journal contains all deletions at this
 * point, even if it was lost: `readOldTags` finds them at the donor.
 */
async function wasBegun(
  {project: {id}, steps}: ProjectMove,
  {context, call}: TransferRun,
): Promise<boolean> {
  const {unfinished} = context.journal;
  if (unfinished.paused.has(id) || deletedOf(unfinished, id).length > 0) return true;
  if (!steps.some(({kind}) => kind === 'pause')) return false;
  return (await context.gitlab.projects.get(id, call)).cleanupPolicy?.enabled !== true;
}
