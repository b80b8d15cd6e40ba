import type {ErrorData} from '../../model/event.ts';
import type {
  GroupResult,
  ProjectResult,
  RunEnd,
  RunResult,
  TransferStanding,
} from '../../model/outcome.ts';
import type {GroupMove, ProjectMove, TransferPlan} from '../../model/transfer-plan.ts';
import {deletedOf} from '../unfinished.ts';
import {oldName} from './delete-old.ts';
import {arrived, countTags, doneOf, standingOf} from './standing.ts';
import {
  OTHER_WAY_ROUND,
  type PlanRun,
  type ProjectLocation,
  type ProjectRan,
  type TransferRun,
} from './transfer-run.ts';

/** The result of a project in a run of its plan. */
export interface ProjectEnd {
  /** The move as it was carried out, with the tags that were included. */
  readonly move: ProjectMove;
  /** Undefined: the location of the project is unknown. */
  readonly run: TransferRun | undefined;
  readonly ran: Omit<ProjectRan, 'result'> & {readonly result: ProjectResult['result']};
  /** Why it could not be started, or rolled back. */
  readonly error?: ErrorData;
  /**
   * Tags that are gone from the old path although no journal contains the deletion, as `host/path:tag`. Default: none.
   */
  readonly missing?: readonly string[];
  /** The move back, from the end of `move`. Absent: the move was carried out as planned. */
  readonly reversed?: ProjectMove;
}

/** The result of a project that the run did not reach. */
export function notStarted({
  planned,
  run,
}: {
  readonly planned: ProjectMove;
  readonly run: TransferRun | undefined;
}): ProjectEnd {
  const steps = planned.steps.map(({id}) => ({id, outcome: 'not-started'}) as const);
  return {move: planned, run, ran: {result: 'not-started', steps, ...NOTHING_RAN}};
}

/** The result of something that was not started. */
export const NOTHING_RAN = {bytes: {sent: 0}, blobs: {copied: 0, mounted: 0, present: 0}};

/** Records and reports the result of a project. @throws TransshipError JOURNAL_WRITE_FAILED */
export async function endProject(end: ProjectEnd, {context}: PlanRun): Promise<ProjectEnd> {
  const {
    move: {project},
    ran: {result},
    error,
  } = end;
  if (result === 'not-started') return end;
  await context.journal.append({type: 'project-end', project: project.id, result});
  const failure = error === undefined ? {} : {error};
  context.report({type: 'project-ended', from: project.from, result, ...failure});
  return end;
}

/** The result of a group, or of a project that moves on its own, in a run of its plan. */
export interface UnitEnd {
  /** The results of its projects. */
  readonly ends: readonly ProjectEnd[];
  readonly result: ProjectResult['result'];
  readonly group?: GroupEnd;
}

/** The result of a group in a run. */
export interface GroupEnd {
  readonly group: GroupMove;
  /** Undefined: unknown. */
  readonly where: ProjectLocation | undefined;
  /** The results of its own steps. */
  readonly ran: Omit<ProjectRan, 'result'>;
  readonly error?: ErrorData;
}

/** The result of a group that the run did not reach. */
export function groupNotStarted(group: GroupMove, where: ProjectLocation | undefined): GroupEnd {
  const steps = group.steps.map(({id}) => ({id, outcome: 'not-started'}) as const);
  return {group, where, ran: {steps, ...NOTHING_RAN}};
}

/** The result of the whole plan: its projects in order, all of their steps, and the totals of what was sent. */
export function resultOf(
  plan: TransferPlan,
  units: readonly UnitEnd[],
  {isRollback}: {readonly isRollback: boolean},
): RunResult {
  const ends = units.flatMap((unit) => unit.ends);
  const groups = units.flatMap(({group, result}) => (group ? [{...group, result}] : []));
  const inOrder = plan.moves.flatMap(({project}) =>
    ends.filter(({move}) => move.project.id === project.id),
  );
  const rans = [...inOrder, ...groups].map(({ran}) => ran);
  const drift = rans.flatMap((ran) => ran.drift ?? []);
  const total = (of: (ran: Omit<ProjectRan, 'result'>) => number): number =>
    rans.reduce((sum, ran) => sum + of(ran), 0);
  return {
    plan: plan.id,
    result: planEnd(units.map(({result}) => result)),
    steps: rans.flatMap(({steps}) => steps),
    bytes: {sent: total(({bytes}) => bytes.sent)},
    blobs: {
      copied: total(({blobs}) => blobs.copied),
      mounted: total(({blobs}) => blobs.mounted),
      present: total(({blobs}) => blobs.present),
    },
    ...(drift.length === 0 ? {} : {drift}),
    projects: inOrder.map((end) => projectResult(end, isRollback)),
    ...(groups.length === 0 ? {} : {groups: groups.map(groupResult)}),
  };
}

function groupResult({
  group: {group},
  where,
  error,
  result,
}: GroupEnd & Pick<UnitEnd, 'result'>): GroupResult {
  return {
    ...group,
    result,
    ...(error === undefined ? {} : {error}),
    ...(where === undefined ? {} : {group: where}),
  };
}

/**
 * As for copies, drift precedes failures: no run of this plan can repair drift. If nothing failed but a project was not
 * started, a signal or a no to a question ended the run.
 */
function planEnd(results: readonly ProjectResult['result'][]): RunEnd {
  const worst = (['interrupted', 'drift', 'failed'] as const).find((end) => results.includes(end));
  return worst ?? (results.includes('not-started') ? 'interrupted' : 'done');
}

function projectResult(end: ProjectEnd, isRollback: boolean): ProjectResult {
  const {move, run, ran, error} = end;
  const {id, from, to} = move.project;
  const standing = run && standingAt(run, end, isRollback);
  return {
    id,
    from,
    to,
    result: ran.result,
    ...(error === undefined ? {} : {error}),
    ...(standing === undefined ? {} : {standing}),
  };
}

function standingAt(
  {context, progress}: TransferRun,
  {move, ran: {result, steps}, missing = [], reversed}: ProjectEnd,
  isRollback: boolean,
): TransferStanding | undefined {
  const {unfinished} = context.journal;
  const {id} = move.project;
  const isComplete = result === 'not-started' && unfinished.completed.has(id);
  const gone = new Set([...deletedOf(unfinished, id).map(oldName), ...missing]);
  const done = isComplete ? new Set(move.steps.map((step) => step.id)) : doneOf(steps);
  const total = countTags(move);
  const project = reversed === undefined ? progress.where : OTHER_WAY_ROUND[progress.where];
  const left = total - gone.size;
  const old = reversed === undefined ? left : arrived(reversed, done);
  const target = reversed === undefined ? arrived(move, done) : left;
  return standingOf(move, {
    project,
    total,
    old: project === 'before' ? old : 0,
    target: project === 'after' ? target : 0,
    isPaused: unfinished.paused.has(id),
    end: isComplete ? 'done' : result === 'not-started' ? undefined : result,
    isRollback,
  });
}
