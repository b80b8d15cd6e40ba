import {errorData} from '../../model/event.ts';
import type {Drift} from '../../model/outcome.ts';
import type {ProjectMove, TransferUnit} from '../../model/transfer-plan.ts';
import {isJournalFailure} from '../journal-file.ts';
import {moveWithAdopted} from './adopt-tags.ts';
import {begin, type Begun} from './begin.ts';
import {lateTags} from './delete-group-records.ts';
import {locateGroup, locateProject, throwIfGroupTaken} from './locate.ts';
import {type GroupRun, moveGroup} from './move-group.ts';
import {moveProject, ProjectSteps} from './move-project.ts';
import {wayOfRun} from './native-way.ts';
import {
  endProject,
  groupNotStarted,
  notStarted,
  type ProjectEnd,
  type UnitEnd,
} from './plan-result.ts';
import {type PlanRun, type RunSize, sizeOf, sumOfSizes, type TransferRun} from './transfer-run.ts';
import {copySetOf} from './verify-place.ts';

/** A run that records the projects that it has finished. */
export interface OpenRun extends PlanRun {
  readonly finished: Set<number>;
}

/** Opens the run of a project. */
export type OpenProject = (opening: {
  readonly move: ProjectMove;
  readonly run: PlanRun;
  readonly where: TransferRun['progress']['where'];
}) => TransferRun;

/** A project before its first step: the move to carry out, or the reason that prevents it. */
export interface UnitProject {
  readonly planned: ProjectMove;
  /** Undefined: the location of the project is unknown. */
  readonly run: TransferRun | undefined;
  readonly begun: Begun | {readonly error: unknown};
}

/** A project or a group before its first step. */
export interface FoundUnit {
  readonly projects: readonly UnitProject[];
  readonly group?: {
    /** Undefined: the location of the group is unknown. */
    readonly run: GroupRun | undefined;
    readonly planned: GroupRun['unit'];
    /** The reason that prevents it from starting. */
    readonly held?: {readonly drift: readonly Drift[]} | {readonly error: unknown};
  };
}

/**
 * Checks whether a project or a group can be carried out. Changes nothing.
 * @throws errors that concern the whole run: JOURNAL_WRITE_FAILED, and an interruption
 */
export async function lookAtUnit(
  unit: TransferUnit,
  open: OpenProject,
  run: PlanRun,
): Promise<FoundUnit> {
  const projects: UnitProject[] = [];
  for (const move of unit.moves) projects.push(await lookAt(move, unit, open, run));
  if (unit.group === undefined) return {projects};
  const planned = {...unit, group: unit.group};
  return {projects, group: await lookAtGroup(planned, projects, run)};
}

async function lookAt(
  planned: ProjectMove,
  {group}: TransferUnit,
  open: OpenProject,
  run: PlanRun,
): Promise<UnitProject> {
  let own: TransferRun | undefined;
  try {
    const where = await locateProject(planned, group, run.context, run.call);
    own = open({move: planned, run, where});
    const move = await moveWithAdopted(await wayOfRun(planned, own), own);
    const begun = where === 'before' ? await begin(move, own) : {move, deletes: []};
    return {planned, run: own, begun};
  } catch (error) {
    if (isJournalFailure(error) || run.interruption.aborted.aborted) throw error;
    return {planned, run: own, begun: {error}};
  }
}

/** Checks a group at its old path: the new path is free, and GitLab has no images below it that are not in the plan. */
async function lookAtGroup(
  planned: GroupRun['unit'],
  projects: readonly UnitProject[],
  run: PlanRun,
): Promise<NonNullable<FoundUnit['group']>> {
  const {context, call} = run;
  const {group, moves} = planned;
  let own: GroupRun | undefined;
  try {
    const where = await locateGroup(group, context, call);
    own = {...run, unit: planned, progress: {where}};
    if (where !== 'before') return {planned, run: own};
    await throwIfGroupTaken(group, context, call);
    const theirs = new Set(moves.flatMap(({repositories}) => repositories.map(({from}) => from)));
    const records = (await context.gitlab.repositories.ofGroup(group.group.id, call)).filter(
      ({registryHost, path, status}) =>
        !theirs.has(`${registryHost}/${path}`) &&
        (status === undefined || status === 'delete_failed'),
    );
    const told = new Set(
      projects.flatMap(({begun}) => ('drift' in begun ? begun.drift.map(tagName) : [])),
    );
    const late = await lateTags(planned, records, run);
    const drift = late.filter((one) => !told.has(tagName(one)));
    return {planned, run: own, ...(drift.length === 0 ? {} : {held: {drift}})};
  } catch (error) {
    if (isJournalFailure(error) || run.interruption.aborted.aborted) throw error;
    return {planned, run: own, held: {error}};
  }
}

function tagName({repository, tag}: Drift): string {
  return `${repository}:${tag}`;
}

/**
 * Carries out a project or a group, and records its result.
 * @param first its position among all projects of the plan, for people
 * @throws TransshipError JOURNAL_WRITE_FAILED
 */
export async function runUnit(
  found: FoundUnit,
  first: {readonly number: number; readonly of: number},
  run: OpenRun,
): Promise<UnitEnd> {
  for (const [at, {planned}] of found.projects.entries()) {
    const {from, to} = planned.project;
    const number = first.number + at;
    run.context.report({type: 'project-started', from, to, number, of: first.of});
  }
  const unit =
    found.group === undefined
      ? await runAlone(found.projects)
      : await runGroup(found.projects, found.group);
  const ends: ProjectEnd[] = [];
  for (const end of unit.ends) {
    ends.push(await endProject(end, run));
    if (end.ran.result === 'done') run.finished.add(end.move.project.id);
  }
  return {...unit, ends};
}

async function runAlone(projects: readonly UnitProject[]): Promise<UnitEnd> {
  const ends: ProjectEnd[] = [];
  for (const one of projects) ends.push(await runProject(one));
  return {ends, result: ends[0]?.ran.result ?? 'done'};
}

async function runProject(found: UnitProject): Promise<ProjectEnd> {
  const {run, begun} = found;
  if (run === undefined || !('move' in begun)) return heldEnd(found);
  const steps = await moveProject(begun.move, run);
  return {move: steps.move, run, ran: steps.result()};
}

/** The result of a project that cannot be started. */
function heldEnd({planned, run, begun}: UnitProject): ProjectEnd {
  const none = notStarted({planned, run});
  if ('error' in begun)
    return {...none, ran: {...none.ran, result: 'failed'}, error: errorData(begun.error)};
  return 'drift' in begun
    ? {...none, ran: {...none.ran, result: 'drift', drift: begun.drift}}
    : none;
}

/** Before the group has moved, its projects are carried out together or not at all. */
async function runGroup(
  projects: readonly UnitProject[],
  {planned, run, held}: NonNullable<FoundUnit['group']>,
): Promise<UnitEnd> {
  const where = run?.progress.where;
  const none = groupNotStarted(planned.group, where);
  const stuck = projects.filter(({begun, run: own}) => !('move' in begun) || own === undefined);
  if (run === undefined || held !== undefined || (where === 'before' && stuck.length > 0)) {
    const ends = projects.map(heldEnd);
    const drift = held !== undefined && 'drift' in held ? {drift: held.drift} : {};
    const error = held !== undefined && 'error' in held ? {error: errorData(held.error)} : {};
    const isDrift = 'drift' in drift || ends.some(({ran}) => ran.result === 'drift');
    const group = {...none, ...error, ran: {...none.ran, ...drift}};
    return {ends, group, result: isDrift ? 'drift' : 'failed'};
  }
  const steps = projects.flatMap(({begun, run: own}) =>
    'move' in begun && own !== undefined ? [new ProjectSteps(begun.move, own)] : [],
  );
  const ran = await moveGroup(steps, run);
  const ends = [
    ...ran.projects.map(
      (one): ProjectEnd => ({
        move: one.steps.move,
        run: one.steps.run,
        ran: one.ran,
      }),
    ),
    ...stuck.map(heldEnd),
  ];
  const result = stuck.length > 0 && ran.result === 'done' ? 'failed' : ran.result;
  return {ends, group: {...none, where: run.progress.where, ran: ran.own}, result};
}

/** Each image counts once. After a project has left its old path, nothing is pulled. */
export function announced(found: readonly FoundUnit[]): RunSize {
  const sizes = found
    .flatMap(({projects}) => projects)
    .map(({planned, run, begun}) => {
      const move = 'move' in begun ? begun.move : planned;
      const ways =
        run?.progress.where === 'before' ? (['pull', 'push'] as const) : (['push'] as const);
      return {
        ...sizeOf(ways.map((way) => copySetOf(move, way))),
        steps: sizeOf([copySetOf(move, 'push')]).steps,
      };
    });
  return sumOfSizes(sizes);
}
