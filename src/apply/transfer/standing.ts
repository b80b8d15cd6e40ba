import type {StepOutcome} from '../../model/event.ts';
import type {NextCommand, ProjectStatus, RunEnd, TransferStanding} from '../../model/outcome.ts';
import type {ProjectMove, TransferPlan} from '../../model/transfer-plan.ts';
import type {JournalEntry} from '../journal-file.ts';
import {copySetsOf} from '../../plan/transfer/estimate.ts';
import {unfinishedIn} from '../unfinished.ts';
import {copySetOf} from './verify-place.ts';
import {oldName} from './delete-old.ts';
import {TransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {ProjectLocation, TransferContext} from './transfer-run.ts';

/** What was found out about a project, by a run or from the journal. */
interface Found {
  readonly project: TransferStanding['project'];
  /** Tags that were taken along and are not in the move. */
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

/** Where the images of a staged move are, and what works next; undefined: GitLab moves them, or there are none. */
export function standingOf(move: ProjectMove, found: Found): TransferStanding | undefined {
  if (move.way !== 'staged') return undefined;
  const {project, gone, isPaused, adopted = 0} = found;
  const total = move.repositories.reduce((sum, {tags}) => sum + tags.length, adopted);
  const hasLeft = project !== 'before';
  const target = hasLeft ? arrived(move, found.done, total) : 0;
  const old = hasLeft ? 0 : Math.max(0, total - gone);
  const images = {total, old, donor: total - old - target, target};
  return {
    project,
    images,
    donor: move.donor.path,
    isPaused,
    next: nextCommands(images, found),
  };
}

/** The entries of a journal that are about a project, by its ID; the runs are about all of them. */
export function entriesByProject(
  {moves}: TransferPlan,
  entries: readonly JournalEntry[],
): ReadonlyMap<number, readonly JournalEntry[]> {
  const stepOwners = new Map<string, number>();
  const placeOwners = new Map<string, number>();
  const found = new Map<number, JournalEntry[]>();
  for (const {project, steps} of moves) {
    found.set(project.id, []);
    const sets = copySetsOf(steps);
    for (const {id} of [...steps, ...sets.flatMap(({copies}) => copies)])
      stepOwners.set(id, project.id);
    for (const {to} of sets.flatMap(({blobs}) => blobs)) placeOwners.set(to, project.id);
  }
  const ownerOf = (entry: JournalEntry): number | undefined => {
    if (entry.type === 'step') return stepOwners.get(entry.id);
    if (entry.type === 'blob' || entry.type === 'upload') return placeOwners.get(entry.to);
    return 'project' in entry ? entry.project : undefined;
  };
  for (const entry of entries) {
    if (entry.type === 'run') for (const own of found.values()) own.push(entry);
    else found.get(ownerOf(entry) ?? 0)?.push(entry);
  }
  return found;
}

/** What counts of the entries of one project: what its steps did before a rollback is undone. */
export function sinceRollback(own: readonly JournalEntry[]): readonly JournalEntry[] {
  return own.slice(own.findLastIndex(({type}) => type === 'rollback') + 1);
}

/**
 * How far a project is, as the journal has it; nothing is asked.
 * @param own what the journal has of this project
 */
export function statusOf(move: ProjectMove, own: readonly JournalEntry[]): ProjectStatus {
  const {id, from, to} = move.project;
  const last = own.findLast(({type}) => type !== 'run');
  const ended = last?.type === 'project-end' ? last.result : undefined;
  const standing = standingByJournal(move, own, ended);
  return {
    id,
    from,
    to,
    ...(ended === undefined ? {} : {ended}),
    ...(standing === undefined ? {} : {standing}),
  };
}

function standingByJournal(
  move: ProjectMove,
  own: readonly JournalEntry[],
  end: RunEnd | undefined,
): TransferStanding | undefined {
  const done = doneOf(sinceRollback(own).filter((entry) => entry.type === 'step'));
  const {deleted, paused} = unfinishedIn(own);
  const changes = move.steps.filter(({kind}) => kind === 'change-path');
  const changed = changes.filter((step) => done.has(step.id)).length;
  const project =
    changed === 0 || changes.length === 0
      ? 'before'
      : changed < changes.length
        ? 'between'
        : 'after';
  const lastRun = own.findLastIndex(({type}) => type === 'run');
  const planned = new Set(
    move.repositories.flatMap(({from, tags}) => tags.map(({name}) => `${from}:${name}`)),
  );
  const adopted = own.filter((entry) => entry.type === 'adopt').map(oldName);
  return standingOf(move, {
    project,
    adopted: new Set(adopted.filter((name) => !planned.has(name))).size,
    gone: deleted.size,
    done,
    isPaused: paused.has(move.project.id),
    end,
    isRollback: own.findLastIndex(({type}) => type === 'rollback') > lastRun,
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
function arrived(move: ProjectMove, done: ReadonlySet<string>, total: number): number {
  if (
    move.steps.some((step) => step.kind === 'verify' && step.at === 'target' && done.has(step.id))
  )
    return total;
  const {copies} = copySetOf(move, 'push');
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
  move: ProjectMove,
  {gitlab}: Pick<TransferContext, 'gitlab'>,
  call: Call,
): Promise<ProjectLocation> {
  const {id, from, to} = move.project;
  const {fullPath} = await gitlab.projects.get(id, call);
  if (fullPath === to) return 'after';
  if (fullPath === from) return 'before';
  if (betweenPaths(move).includes(fullPath)) return 'between';
  throw new TransshipError(
    'DRIFT',
    `project ${id} is at ${fullPath}, and the plan moves it from ${from} to ${to}`,
    {side: 'gitlab', hint: 'somebody moved it meanwhile; plan again from where it is'},
  );
}

/** The paths that the project has between two changes: GitLab changes namespace and path one after the other. */
function betweenPaths({steps, project: {from, to}}: ProjectMove): readonly string[] {
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
  {project}: ProjectMove,
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
