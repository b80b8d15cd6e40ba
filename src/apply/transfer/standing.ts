import type {StepOutcome} from '../../model/event.ts';
import type {NextCommand, RunEnd, TransferStanding} from '../../model/outcome.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import type {JournalEntry} from '../journal-entry.ts';
import {unfinishedIn} from '../unfinished.ts';
import {carriageOf} from './expected-at.ts';
import {oldName} from './old-tags.ts';

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
  const {copies} = carriageOf(plan, 'push');
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
