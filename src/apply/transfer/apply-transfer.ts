import {TransshipError} from '../../model/error.ts';
import {errorData} from '../../model/event.ts';
import type {RunResult} from '../../model/outcome.ts';
import type {ProjectMove, TransferPlan} from '../../model/transfer-plan.ts';
import type {Interruption} from '../apply-context.ts';
import {reportEnd} from '../apply-plan.ts';
import {isJournalFailure} from '../journal-file.ts';
import {deletedOf} from '../unfinished.ts';
import {moveWithAdopted} from './adopt-tags.ts';
import {begin, type Begun} from './begin.ts';
import {moveProject} from './move-project.ts';
import {endProject, notStarted, type ProjectEnd, resultOf} from './plan-result.ts';
import {resumePolicies} from './policy.ts';
import {locateProject} from './standing.ts';
import {
  type PlanRun,
  projectRun,
  type RunSize,
  sizeOf,
  sumOfSizes,
  type TransferContext,
  type TransferRun,
} from './transfer-run.ts';
import {copySetOf} from './verify-place.ts';

/**
 * Carries out a plan of transfers, project by project: each comes to its end before the next is begun. Projects that an
 * earlier run began come first, since their images may wait at a donor alone. Where there is none, all projects are
 * looked at before the first change, and what forbids one of them keeps the run from beginning.
 * @throws TransshipError where the run cannot begin (USAGE, NAME_TAKEN, DRIFT, DONOR_ABSENT, PROJECT_NOT_FOUND), and
 *   JOURNAL_WRITE_FAILED
 */
export async function applyTransfer(
  whole: TransferPlan,
  context: TransferContext,
  interruption: Interruption,
): Promise<RunResult> {
  const plan = context.removesDonor ? whole : withoutRemoval(whole);
  const {stopping, aborted} = interruption;
  const run: OpenRun = {
    context,
    interruption,
    call: {signal: aborted},
    reading: {signal: AbortSignal.any([stopping, aborted])},
    finished: new Set(),
  };
  const found: Found[] = [];
  for (const move of plan.moves) found.push(await lookAt(move, plan, run));
  const ends = await endsOf(found, plan, run);
  await resumePolicies(plan, ends, run);
  const ran = resultOf(plan, ends, {isRollback: false});
  const result = context.limits?.mark(ran) ?? ran;
  await context.journal.end(result.result);
  reportEnd(result, context.report);
  return result;
}

interface OpenRun extends PlanRun {
  readonly finished: Set<number>;
}

/** The images stay at the donor until somebody says that they may go. */
function withoutRemoval(plan: TransferPlan): TransferPlan {
  const moves = plan.moves.map((move) => ({
    ...move,
    steps: move.steps.filter(({kind}) => kind !== 'remove-donor'),
  }));
  return {...plan, moves};
}

/** A project before its first step: what is carried out, or why it cannot be begun. */
interface Found {
  readonly planned: ProjectMove;
  /** Undefined: nobody knows where the project is. */
  readonly run: TransferRun | undefined;
  readonly begun: Begun | {readonly error: unknown};
}

/** @throws what concerns more than this project: JOURNAL_WRITE_FAILED, and that the run was ended */
async function lookAt(planned: ProjectMove, plan: TransferPlan, run: PlanRun): Promise<Found> {
  let own: TransferRun | undefined;
  try {
    own = projectRun(planned, plan, run, await locateProject(planned, run.context, run.call));
    const move = await moveWithAdopted(planned, own);
    const isBefore = own.progress.where === 'before';
    return {planned, run: own, begun: isBefore ? await begin(move, own) : {move, deletes: []}};
  } catch (error) {
    if (isJournalFailure(error) || run.interruption.aborted.aborted) throw error;
    return {planned, run: own, begun: {error}};
  }
}

/** An earlier run took it away from its old path, or began to delete its images, and did not complete it. */
function isUnderWay({planned, run}: Found, {context}: PlanRun): boolean {
  const {unfinished} = context.journal;
  const {id} = planned.project;
  const hasLeft = run !== undefined && run.progress.where !== 'before';
  return (hasLeft && !unfinished.completed.has(id)) || deletedOf(unfinished, id).length > 0;
}

async function endsOf(
  found: readonly Found[],
  plan: TransferPlan,
  run: OpenRun,
): Promise<readonly ProjectEnd[]> {
  const isFresh = !found.some((one) => isUnderWay(one, run));
  const isHeld = isFresh && found.some(({begun}) => 'drift' in begun);
  let mayBegin = isHeld;
  try {
    if (isFresh || found.length === 1) throwFirst(found);
    mayBegin ||= await isAgreed(found, run);
  } catch (error) {
    // Nobody may come back to this plan: nothing of an earlier run has to stay as it is.
    await resumePolicies(plan, found.map(notStarted), run);
    throw error;
  }
  run.context.report({type: 'run-started', plan: plan.id, ...announced(found)});
  if (!mayBegin) return found.map(notStarted);
  const inTurn = found.toSorted((a, b) => Number(isUnderWay(b, run)) - Number(isUnderWay(a, run)));
  const ends: ProjectEnd[] = [];
  let isStopped = false;
  for (const [at, one] of inTurn.entries()) {
    // A limit must not leave a project without its images: between two projects it may end the run.
    if (isUnderWay(one, run)) run.context.limits?.lift();
    else if (at > 0) run.context.limits?.restore();
    isStopped ||= at > 0 && run.interruption.stopping.aborted;
    if (isStopped || (isHeld && !('drift' in one.begun))) {
      ends.push(notStarted(one));
      continue;
    }
    // While the others went, much may have happened to this one.
    const now = at === 0 || isHeld ? one : await lookAt(one.planned, plan, run);
    const {from, to} = one.planned.project;
    run.context.report({type: 'project-started', from, to, number: at + 1, of: inTurn.length});
    const end = await endProject(await runProject(now), run);
    ends.push(end);
    if (end.ran.result === 'done') run.finished.add(one.planned.project.id);
    isStopped = stops(end, run);
  }
  return ends;
}

/** @throws what keeps the first of them from beginning */
function throwFirst(found: readonly Found[]): void {
  for (const {begun} of found) if ('error' in begun) throw begun.error;
}

async function runProject({planned, run, begun}: Found): Promise<ProjectEnd> {
  if ('error' in begun) {
    const none = notStarted({planned, run});
    return {...none, ran: {...none.ran, result: 'failed'}, error: errorData(begun.error)};
  }
  // Without a location there is an error.
  if (run === undefined) return notStarted({planned, run});
  if ('move' in begun) return {move: begun.move, run, ran: await moveProject(begun.move, run)};
  const none = notStarted({planned, run});
  return {...none, ran: {...none.ran, result: 'drift', drift: begun.drift}};
}

/** Whether the projects after this one stay as they are. */
function stops({ran: {result}}: ProjectEnd, {context}: PlanRun): boolean {
  if (result === 'interrupted' || result === 'not-started') return true;
  return result !== 'done' && context.settings.onFailure === 'stop';
}

/** Asks once for all projects. @throws TransshipError USAGE where nobody can be asked */
async function isAgreed(found: readonly Found[], {context}: PlanRun): Promise<boolean> {
  const deleting = found.flatMap(({planned, begun}) =>
    'deletes' in begun && begun.deletes.length > 0 ? [{planned, deletes: begun.deletes}] : [],
  );
  if (deleting.length === 0) return true;
  const projects = deleting.map(({planned}) => planned.project.from);
  const tags = deleting.flatMap(({deletes}) => deletes);
  if (context.mayDelete === undefined) {
    throw new TransshipError(
      'USAGE',
      `the plan deletes the tags of ${projects.join(', ')}, and there is no terminal to ask at`,
      {side: 'local', hint: 'confirm with --yes; nothing was done'},
    );
  }
  return context.mayDelete({
    tags: tags.length,
    repositories: new Set(tags.map(({repository}) => repository)).size,
    projects,
    donors: [...new Set(deleting.map(({planned}) => planned.donor.path))],
  });
}

/** Each image counts once. Once a project has left its old path nothing is pulled any more. */
function announced(found: readonly Found[]): RunSize {
  const sizes = found.map(({planned, run, begun}) => {
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
