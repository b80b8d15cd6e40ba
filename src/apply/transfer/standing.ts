import type {StepOutcome} from '../../model/event.ts';
import type {NextCommand, ProjectStatus, RunEnd, TransferStanding} from '../../model/outcome.ts';
import {
  type GroupMove,
  possibleSteps,
  type ProjectMove,
  type TransferPlan,
} from '../../model/transfer-plan.ts';
import type {JournalEntry} from '../journal-file.ts';
import {copySetsOf} from '../../plan/transfer/estimate.ts';
import {unfinishedIn} from '../unfinished.ts';
import {copySetOf} from './verify-place.ts';
import {oldName} from './delete-old.ts';
import {wayByJournal} from './native-way.ts';
import {backId} from './reversed-unit.ts';

/** The state of a project, as found by a run or in the journal. */
interface ProjectState {
  readonly project: TransferStanding['project'];
  /** The number of tags in the move, including those that were added. */
  readonly total: number;
  /** The number of tags at the old path. */
  readonly old: number;
  /** The number of tags at the new path. */
  readonly target: number;
  readonly isPaused: boolean;
  readonly end: RunEnd | undefined;
  /** The project was rolled back, at least in part. */
  readonly isRollback: boolean;
}

/** The location of a move's images, and the next commands; undefined: there are no images. */
export function standingOf(move: ProjectMove, found: ProjectState): TransferStanding | undefined {
  if (move.way === 'empty') return undefined;
  const {project, isPaused, total} = found;
  const target = Math.max(0, found.target);
  // If GitLab moves images itself, they are in no other place.
  const old = move.way === 'native' ? total - target : Math.max(0, found.old);
  const images = {total, old, donor: Math.max(0, total - old - target), target};
  return {
    project,
    images,
    donor: move.donor.path,
    isPaused,
    next: nextCommands(images, found),
  };
}

export function countTags({repositories}: ProjectMove): number {
  return repositories.reduce((sum, {tags}) => sum + tags.length, 0);
}

/** The journal entries of each project, by its ID. Entries for runs belong to all projects. */
export function entriesByProject(
  {moves, groups = []}: TransferPlan,
  entries: readonly JournalEntry[],
): ReadonlyMap<number, readonly JournalEntry[]> {
  const stepOwners = new Map<string, number>();
  const placeOwners = new Map<string, number>();
  const found = new Map<number, JournalEntry[]>();
  for (const move of moves) {
    const {project} = move;
    const steps = possibleSteps(move);
    found.set(project.id, []);
    const sets = copySetsOf(steps);
    for (const {id} of [...steps, ...sets.flatMap(({copies}) => copies)])
      stepOwners.set(id, project.id);
    for (const {to} of sets.flatMap(({blobs}) => blobs)) placeOwners.set(to, project.id);
  }
  const ownerOf = (entry: JournalEntry): number | undefined => {
    if (entry.type === 'step') return stepOwners.get(forwardId(entry.id));
    if (entry.type === 'blob' || entry.type === 'upload') return placeOwners.get(entry.to);
    return 'project' in entry ? entry.project : undefined;
  };
  // The steps of a group concern all of its projects.
  const groupOwners = new Map(
    groups.flatMap(({steps, projects}) => steps.map(({id}) => [id, projects] as const)),
  );
  for (const entry of entries) {
    const ofGroup = entry.type === 'step' ? groupOwners.get(forwardId(entry.id)) : undefined;
    if (entry.type === 'run') for (const own of found.values()) own.push(entry);
    else for (const id of ofGroup ?? [ownerOf(entry) ?? 0]) found.get(id)?.push(entry);
  }
  return found;
}

/** The entries of a project that are still valid: a rollback invalidates the steps before it. */
export function sinceRollback(own: readonly JournalEntry[]): readonly JournalEntry[] {
  return own.slice(own.findLastIndex(({type}) => type === 'rollback') + 1);
}

/** The ID of the step that a step of the reverse move undoes; for other steps, their own ID. */
function forwardId(id: string): string {
  return id.startsWith(BACK) ? id.slice(BACK.length) : id;
}

const BACK = backId('');

/**
 * The progress of a project according to the journal alone, without requests.
 * @param own the entries of this project
 */
export function statusOf(
  planned: ProjectMove,
  group: GroupMove | undefined,
  own: readonly JournalEntry[],
): ProjectStatus {
  const move = wayByJournal(planned, own);
  const {id, from, to} = move.project;
  const last = own.findLast(({type}) => type !== 'run');
  const ended = last?.type === 'project-end' ? last.result : undefined;
  const standing = standingByJournal(move, group, own, ended);
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
  group: GroupMove | undefined,
  own: readonly JournalEntry[],
  end: RunEnd | undefined,
): TransferStanding | undefined {
  const {deleted, paused} = unfinishedIn(own);
  const project = locationByJournal(group?.steps ?? move.steps, own);
  const lastRun = own.findLastIndex(({type}) => type === 'run');
  const planned = new Set(
    move.repositories.flatMap(({from, tags}) => tags.map(({name}) => `${from}:${name}`)),
  );
  const adopted = own.filter((entry) => entry.type === 'adopt').map(oldName);
  const total = countTags(move) + new Set(adopted.filter((name) => !planned.has(name))).size;
  return standingOf(move, {
    project,
    total,
    old: project === 'before' ? total - deleted.size : 0,
    target: project === 'after' ? arrivedByJournal(move, own, total) : 0,
    isPaused: paused.has(move.project.id),
    end,
    isRollback: own.findLastIndex(({type}) => type === 'rollback') > lastRun,
  });
}

/** The location of a project or a group after all changes of its path in a journal, in either direction. */
export function locationByJournal(
  steps: readonly {readonly id: string; readonly kind: string}[],
  entries: readonly JournalEntry[],
): TransferStanding['project'] {
  const changes = new Set(
    steps.flatMap(({id, kind}) => (kind === 'change-path' || kind === 'change-group' ? [id] : [])),
  );
  const changed = new Set<string>();
  for (const entry of entries) {
    if (entry.type !== 'step' || !isDone(entry)) continue;
    const id = forwardId(entry.id);
    if (!changes.has(id)) continue;
    if (id === entry.id) changed.add(id);
    else changed.delete(id);
  }
  if (changed.size === 0) return 'before';
  return changed.size < changes.size ? 'between' : 'after';
}

/** Tags that were pushed to the new path, or verified there, and not deleted since. */
function arrivedByJournal(move: ProjectMove, own: readonly JournalEntry[], total: number): number {
  const places = new Map(move.repositories.map(({from, to}) => [to, from]));
  const names = new Map(
    copySetOf(move, 'push').copies.flatMap(({id, to, tag}) =>
      tag === undefined ? [] : [[id, `${places.get(to) ?? to}:${tag}`] as const],
    ),
  );
  const verified = move.steps.find((step) => step.kind === 'verify' && step.at === 'target')?.id;
  let isWhole = false;
  const there = new Set<string>();
  const gone = new Set<string>();
  for (const entry of own) {
    if (entry.type === 'step' && isDone(entry)) {
      const name = names.get(entry.id);
      if (name !== undefined) there.add(name);
      if (name !== undefined) gone.delete(name);
      if (entry.id === verified) isWhole = true;
      if (entry.id === verified) gone.clear();
    } else if (entry.type === 'delete') {
      gone.add(oldName(entry));
    } else if (entry.type === 'kept') {
      gone.delete(oldName(entry));
    }
  }
  return isWhole ? total - gone.size : [...there].filter((name) => !gone.has(name)).length;
}

/** The IDs of everything that a run did, or found done. */
export function doneOf(
  steps: readonly {readonly id: string; readonly outcome: StepOutcome}[],
): ReadonlySet<string> {
  return new Set(steps.filter(isDone).map(({id}) => id));
}

function isDone({outcome}: {readonly outcome: StepOutcome}): boolean {
  return outcome === 'done' || outcome === 'present';
}

/** The number of tags at the end of a move: all, if they were verified there, otherwise those that were pushed. */
export function arrived(move: ProjectMove, done: ReadonlySet<string>): number {
  const isVerified = move.steps.some(
    (step) => step.kind === 'verify' && step.at === 'target' && done.has(step.id),
  );
  if (isVerified) return countTags(move);
  const {copies} = copySetOf(move, 'push');
  return copies.filter(({id, tag}) => tag !== undefined && done.has(id)).length;
}

function nextCommands(
  {total, donor, target}: TransferStanding['images'],
  {project, end, isRollback}: ProjectState,
): readonly NextCommand[] {
  const isComplete = project === 'after' && target === total;
  const bothWays = isRollback ? (['rollback', 'apply'] as const) : (['apply', 'rollback'] as const);
  if (isComplete && end === 'done') return [];
  if (project !== 'before') return bothWays;
  if (donor > 0) {
    if (isRollback) return bothWays;
    return end === 'drift' ? ['rollback', 'apply --adopt-new-tags'] : bothWays;
  }
  return end === 'drift' ? ['plan'] : ['apply'];
}
