import type {Drift} from '../model/outcome.ts';
import type {CopyStep} from '../model/plan.ts';
import type {Call, ReadRepositories} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import {hasUntagged} from '../observe/listed-referrer.ts';
import {
  comparable,
  headComparable,
  observeDestinationTags,
} from '../observe/observe-destination.ts';
import {OBSERVE_CONCURRENCY} from '../observe/observe-source.ts';

/** Repositories whose tags are asked for at once: each list may be followed by a request for each tag. */
const REPOSITORIES_AT_ONCE = 16;

/** What the world is like, compared with a plan. */
export interface PlanState {
  /** Steps whose result is at the destination already: by an earlier run, or by anybody. */
  readonly done: ReadonlySet<string>;
  readonly drift: readonly Drift[];
}

/**
 * Compares source and destination with the plan: one HEAD for each step at the destination, one more at the source for
 * each that is still to do. A tag that is neither as planned before nor as planned after is drift.
 */
export async function findDrift(
  steps: readonly CopyStep[],
  repositories: ReadRepositories,
  call: Call,
): Promise<PlanState> {
  const {done, drift} = await compareDestination(steps, repositories, call);
  const moved: Drift[] = [];
  const toDo = steps.filter(({id}) => !done.has(id));
  await mapAtOnce(toDo, OBSERVE_CONCURRENCY, async (step) => {
    const one = await sourceDrift(step, repositories, call);
    if (one !== undefined) moved.push(one);
  });
  return {done, drift: inOrder([...drift, ...moved])};
}

/** Compares the destination alone: what is as planned already, and what is neither that nor as it was. */
export async function compareDestination(
  steps: readonly CopyStep[],
  repositories: ReadRepositories,
  call: Call,
): Promise<PlanState> {
  const tags = await destinationTags(steps, repositories, call);
  const done = new Set<string>();
  const drift: Drift[] = [];
  await mapAtOnce(steps, OBSERVE_CONCURRENCY, async (step) => {
    const actual = await atDestination(step, tags, repositories, call);
    if (actual === step.digest) {
      done.add(step.id);
    } else if (step.tag !== undefined && actual !== step.replaces) {
      const {to: repository, tag, replaces: planned} = step;
      drift.push({side: 'destination', repository, tag, planned, actual});
    }
  });
  return {done, drift: inOrder(drift)};
}

type TagsByRepository = ReadonlyMap<string, Awaited<ReturnType<typeof observeDestinationTags>>>;

async function destinationTags(
  steps: readonly CopyStep[],
  repositories: ReadRepositories,
  call: Call,
): Promise<TagsByRepository> {
  const wanted = new Map<string, Tag[]>();
  for (const {to, tag} of steps) {
    const list = wanted.get(to) ?? [];
    if (tag !== undefined) list.push(tag);
    wanted.set(to, list);
  }
  const seen = new Map<string, Awaited<ReturnType<typeof observeDestinationTags>>>();
  await mapAtOnce(wanted, REPOSITORIES_AT_ONCE, async ([to, list]) => {
    seen.set(to, await observeDestinationTags(repositories.destination(to), list, call));
  });
  return seen;
}

async function atDestination(
  step: CopyStep,
  tags: TagsByRepository,
  repositories: ReadRepositories,
  call: Call,
): Promise<CopyStep['replaces']> {
  const seen = tags.get(step.to);
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

/** By side, repository and tag, so that a report is the same each time. */
export function inOrder(drift: readonly Drift[]): readonly Drift[] {
  return drift.toSorted((a, b) => order(a).localeCompare(order(b), 'en'));
}

function order({side, repository, tag}: Drift): string {
  return `${side} ${repository} ${tag}`;
}
