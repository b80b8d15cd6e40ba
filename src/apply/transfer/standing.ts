import type {StepOutcome} from '../../model/event.ts';
import type {NextCommand, RunEnd, TransferStanding} from '../../model/outcome.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import type {JournalEntry} from '../journal-file.ts';
import {unfinishedIn} from '../unfinished.ts';
import {copySetOf} from './verify-place.ts';
import {oldName} from './delete-old.ts';
import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {ProjectLocation, TransferContext} from './transfer-run.ts';

/** What was found out about a transfer, by a run or from its journal. */
export interface Found {
  readonly project: TransferStanding['project'];
  /** Tags that were taken along and are not in `plan`. */
  readonly adopted?: number;
  /** Tags that are gone from the old path. */
  readonly gone: number;
  /** Ids of steps and images that are done, or were before. */
  readonly done: ReadonlySet<string>;
  readonly isPaused: boolean;
  readonly end: RunEnd | undefined;
  /** Taken back, as far as it got. */
  readonly isRollback: boolean;
}

/** Where the images of a staged transfer are, and what works next; undefined: GitLab moves them, or there are none. */
export function standingOf(plan: TransferPlan, found: Found): TransferStanding | undefined {
  if (plan.way !== 'staged') return undefined;
  const {project, gone, isPaused, adopted = 0} = found;
  const total = plan.repositories.reduce((sum, {tags}) => sum + tags.length, adopted);
  const hasLeft = project !== 'before';
  const target = hasLeft ? arrived(plan, found.done, total) : 0;
  const old = hasLeft ? 0 : Math.max(0, total - gone);
  const images = {total, old, donor: total - old - target, target};
  return {
    project,
    from: plan.project.from,
    to: plan.project.to,
    images,
    donor: plan.donor.path,
    isPaused,
    next: nextCommands(images, found),
  };
}

/** As the journal has it; nothing is asked. */
export function standingByJournal(
  plan: TransferPlan,
  entries: readonly JournalEntry[],
  end: RunEnd | undefined,
): TransferStanding | undefined {
  const rollback = entries.findLastIndex(({type}) => type === 'rollback');
  const steps = entries.slice(rollback + 1).filter((entry) => entry.type === 'step');
  const done = doneOf(steps);
  const {deleted, paused} = unfinishedIn(entries);
  const changes = plan.steps.filter(({kind}) => kind === 'change-path');
  const changed = changes.filter(({id}) => done.has(id)).length;
  const project =
    changed === 0 || changes.length === 0
      ? 'before'
      : changed < changes.length
        ? 'between'
        : 'after';
  const lastRun = entries.findLastIndex(({type}) => type === 'run');
  const planned = new Set(
    plan.repositories.flatMap(({from, tags}) => tags.map(({name}) => `${from}:${name}`)),
  );
  const adopted = entries.filter((entry) => entry.type === 'adopt').map(oldName);
  return standingOf(plan, {
    project,
    adopted: new Set(adopted.filter((name) => !planned.has(name))).size,
    gone: deleted.size,
    done,
    isPaused: paused.has(plan.project.id),
    end,
    isRollback: rollback > lastRun,
  });
}

/** Ids of what a run did, or found done. */
export function doneOf(
  steps: readonly {readonly id: string; readonly outcome: StepOutcome}[],
): ReadonlySet<string> {
  const done = steps.filter(({outcome}) => outcome === 'done' || outcome === 'present');
  return new Set(done.map(({id}) => id));
}

/** Tags at the new path: all once they were compared there, until then those that were pushed. */
function arrived(plan: TransferPlan, done: ReadonlySet<string>, total: number): number {
  if (
    plan.steps.some((step) => step.kind === 'verify' && step.at === 'target' && done.has(step.id))
  )
    return total;
  const {copies} = copySetOf(plan, 'push');
  return copies.filter(({id, tag}) => tag !== undefined && done.has(id)).length;
}

function nextCommands(
  {total, donor, target}: TransferStanding['images'],
  {project, end, isRollback}: Found,
): readonly NextCommand[] {
  const isComplete = project === 'after' && target === total;
  if (isComplete && end !== 'drift') return end === 'done' ? [] : ['apply'];
  if (project !== 'before') return ['apply'];
  if (donor > 0) {
    if (isRollback) return ['rollback', 'apply'];
    return end === 'drift' ? ['rollback', 'apply --adopt-new-tags'] : ['apply', 'rollback'];
  }
  return end === 'drift' ? ['plan'] : ['apply'];
}

/**
 * Where the project is now. GitLab is asked by id: paths are what changes.
 * @throws TransshipError PROJECT_NOT_FOUND; DRIFT where it is at none of the plan's places
 */
export async function locateProject(
  plan: TransferPlan,
  {gitlab}: Pick<TransferContext, 'gitlab'>,
  call: Call,
): Promise<ProjectLocation> {
  const {id, from, to} = plan.project;
  const {fullPath} = await gitlab.projects.get(id, call);
  if (fullPath === to) return 'after';
  if (fullPath === from) return 'before';
  if (betweenPaths(plan).includes(fullPath)) return 'between';
  throw new TransshipError(
    'DRIFT',
    `project ${id} is at ${fullPath}, and the plan moves it from ${from} to ${to}`,
    {side: 'gitlab', hint: 'somebody moved it meanwhile; plan again from where it is'},
  );
}

/** The paths that the project has between two changes: GitLab changes namespace and path one after the other. */
function betweenPaths({steps, project: {from, to}}: TransferPlan): readonly string[] {
  if (steps.filter(({kind}) => kind === 'change-path').length < 2) return [];
  const [before, after] = [splitPath(from), splitPath(to)];
  return [`${after.namespace}/${before.path}`, `${before.namespace}/${after.path}`];
}

function splitPath(fullPath: string): {readonly namespace: string; readonly path: string} {
  const slash = fullPath.lastIndexOf('/');
  return {namespace: fullPath.slice(0, slash), path: fullPath.slice(slash + 1)};
}

/** @throws TransshipError NAME_TAKEN where another project has the new path by now */
export async function throwIfTaken(
  {project}: TransferPlan,
  {gitlab}: Pick<TransferContext, 'gitlab'>,
  call: Call,
): Promise<void> {
  const there = await gitlab.projects.find(project.to, call);
  // GitLab answers for a path that a project had before with where it is now.
  const isThere = there?.fullPath.toLowerCase() === project.to.toLowerCase();
  if (!isThere || there.id === project.id) return;
  throw new TransshipError('NAME_TAKEN', `project ${there.id} is at ${project.to} by now`, {
    side: 'gitlab',
    hint: 'move that project away, or plan again with another path',
  });
}
