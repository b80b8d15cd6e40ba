import {TransshipError} from '../model/error.ts';
import type {Drift} from '../model/outcome.ts';
import type {CopyStep} from '../model/plan.ts';
import type {Call, ReadRepositories} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {hasUntagged} from '../observe/listed-referrer.ts';
import {
  comparable,
  headComparable,
  type DestinationTags,
  observeDestinationTags,
} from '../observe/observe-destination.ts';
import {OBSERVE_CONCURRENCY} from '../observe/observe-source.ts';
import {RepositoryFailures} from '../observe/repository-failures.ts';

/** Repositories whose tags are read concurrently. Each list may be followed by a request for each tag. */
const REPOSITORIES_AT_ONCE = 16;

/** The state of source and destination compared with a plan. */
export interface PlanState {
  /** Steps that are already done, by an earlier run or otherwise. */
  readonly done: ReadonlySet<string>;
  readonly drift: readonly Drift[];
  /** Steps that could not be compared, with the error: a failure in one repository does not affect the others. */
  readonly unread: ReadonlyMap<string, TransshipError>;
}

/**
 * Compares source and destination with the plan: one HEAD for each step at the destination, and one at the source for
 * each step that is not done. A tag that has neither its digest from before nor the planned one is drift.
 * @throws TransshipError if a host does not respond, or nothing can be compared
 */
export async function findDrift(
  steps: readonly CopyStep[],
  repositories: ReadRepositories,
  call: Call,
): Promise<PlanState> {
  const failures = new RepositoryFailures();
  const {done, drift, unread} = await readDestination(steps, repositories, failures, call);
  const moved: Drift[] = [];
  const unreadAtSource: [string, TransshipError][] = [];
  const toDo = steps.filter(({id}) => !done.has(id) && !unread.has(id));
  await mapAtOnce(toDo, OBSERVE_CONCURRENCY, async (step) => {
    try {
      const one = await sourceDrift(step, repositories, call);
      if (one !== undefined) moved.push(one);
      failures.answered(step.from);
    } catch (error) {
      unreadAtSource.push([step.id, failures.ofOne(step.from, error)]);
    }
  });
  const all = new Map([...unread, ...unreadAtSource]);
  const [first] = all.values();
  if (first !== undefined && all.size === steps.length) throw first;
  return {done, drift: sortedDrift([...drift, ...moved]), unread: all};
}

/**
 * Compares only the destination: which steps are done, and which tags have drifted.
 * @throws TransshipError if any tag cannot be read
 */
export async function compareDestination(
  steps: readonly CopyStep[],
  repositories: ReadRepositories,
  call: Call,
): Promise<Omit<PlanState, 'unread'>> {
  const failures = new RepositoryFailures();
  const {unread, ...state} = await readDestination(steps, repositories, failures, call);
  for (const error of unread.values()) throw error;
  return state;
}

async function readDestination(
  steps: readonly CopyStep[],
  repositories: ReadRepositories,
  failures: RepositoryFailures,
  call: Call,
): Promise<PlanState> {
  const tags = await destinationTags(steps, repositories, failures, call);
  const done = new Set<string>();
  const drift: Drift[] = [];
  const unread = new Map<string, TransshipError>();
  await mapAtOnce(steps, OBSERVE_CONCURRENCY, async (step) => {
    const seen = tags.get(step.to);
    if (seen instanceof TransshipError) {
      unread.set(step.id, seen);
      return;
    }
    try {
      const actual = await atDestination(step, seen, repositories, call);
      if (actual === step.digest) {
        done.add(step.id);
      } else if (step.tag !== undefined && actual !== step.replaces) {
        const {to: repository, tag, replaces: planned} = step;
        drift.push({side: 'destination', repository, tag, planned, actual});
      }
    } catch (error) {
      unread.set(step.id, failures.ofOne(step.to, error));
    }
  });
  return {done, drift: sortedDrift(drift), unread};
}

/** The tags by repository, or the error if they cannot be read. */
async function destinationTags(
  steps: readonly CopyStep[],
  repositories: ReadRepositories,
  failures: RepositoryFailures,
  call: Call,
): Promise<ReadonlyMap<string, DestinationTags | TransshipError>> {
  const wanted = new Map<string, Tag[]>();
  for (const {to, tag} of steps) {
    const list = wanted.get(to) ?? [];
    if (tag !== undefined) list.push(tag);
    wanted.set(to, list);
  }
  const seen = new Map<string, DestinationTags | TransshipError>();
  await mapAtOnce(wanted, REPOSITORIES_AT_ONCE, async ([to, list]) => {
    try {
      seen.set(to, await observeDestinationTags(repositories.destination(to), list, call));
      failures.answered(to);
    } catch (error) {
      seen.set(to, failures.ofOne(to, error));
    }
  });
  return seen;
}

async function atDestination(
  step: CopyStep,
  seen: DestinationTags | undefined,
  repositories: ReadRepositories,
  call: Call,
): Promise<CopyStep['replaces']> {
  if (seen?.exists !== true) return null;
  if (step.tag !== undefined) {
    const [at, named] = [repositories.destination(step.to), seen.tags.get(step.tag)];
    return (await comparable(at, step.tag, named, step.digest, call)) ?? null;
  }
  const isThere = await hasUntagged(repositories.destination(step.to), step.digest, call);
  return isThere ? step.digest : null;
}

async function sourceDrift(
  step: CopyStep,
  repositories: ReadRepositories,
  call: Call,
): Promise<Drift | undefined> {
  if (step.sourceTag === undefined) return undefined;
  const {name, digest} = step.sourceTag;
  const actual = (await headComparable(repositories.source(step.from), name, digest, call)) ?? null;
  if (actual === digest) return undefined;
  return {side: 'source', repository: step.from, tag: name, planned: digest, actual};
}

/** Sorts by side, repository and tag, so that reports are stable. */
export function sortedDrift(drift: readonly Drift[]): readonly Drift[] {
  return drift.toSorted((a, b) => order(a).localeCompare(order(b), 'en'));
}

function order({side, repository, tag}: Drift): string {
  return `${side} ${repository} ${tag}`;
}
