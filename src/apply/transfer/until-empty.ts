import {pause} from '../../http/retry.ts';
import {TransshipError} from '../../model/error.ts';
import type {Digest} from '../../model/digest.ts';
import type {Drift} from '../../model/outcome.ts';
import type {Tag} from '../../model/reference.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import {interrupted} from '../../model/interrupted.ts';
import {inOrder} from '../find-drift.ts';
import {oldRepositories} from './old-tags.ts';
import type {TransferRun} from './transfer-context.ts';

/** What is still seen at the old path. */
interface Rest {
  /** Planned tags that the registry lists though it said that it deleted them, as `host/path:tag`. */
  readonly kept: readonly string[];
  /** Tags that somebody pushed meanwhile. */
  readonly late: readonly Drift[];
  /** Tags that GitLab counts. */
  readonly counted: number;
}

/**
 * Waits until the registry lists no tag at the old path and GitLab counts none.
 * @returns tags that were pushed after the deletion began; none of them was deleted
 * @throws TransshipError REPOSITORY_DELETE_FAILED where the registry keeps what it said to delete, CHANGE_NOT_SEEN
 *   where GitLab counts tags that are gone, INTERRUPTED
 */
export async function untilEmpty(plan: TransferPlan, run: TransferRun): Promise<readonly Drift[]> {
  const {patience} = run.context;
  for (let waitedMs = 0; ; waitedMs += patience.everyMs) {
    const rest = await readRest(plan, run);
    if (rest.late.length > 0) return rest.late;
    if (rest.kept.length === 0 && rest.counted === 0) return [];
    if (waitedMs >= patience.limitMs) throw notEmpty(plan, rest);
    await wait(patience.everyMs, run);
  }
}

async function readRest(plan: TransferPlan, {context, call}: TransferRun): Promise<Rest> {
  const records = await context.gitlab.repositories.ofProject(plan.project.id, call);
  const failed = records.find(({status}) => status === 'delete_failed');
  if (failed !== undefined) throw deleteFailed(failed.path);
  const planned = new Map<string, Digest>(
    plan.repositories.flatMap(({from, tags}) =>
      tags.map(({name, digest}) => [`${from}:${name}`, digest] as const),
    ),
  );
  const kept: string[] = [];
  const late: Drift[] = [];
  for (const repository of oldRepositories(plan, records)) {
    const source = context.repositories.source(repository);
    for (const tag of (await source.listTags(call)) ?? []) {
      const name = `${repository}:${tag}`;
      const before = planned.get(name) ?? null;
      const actual = (await source.head(tag as Tag, call))?.digest ?? null;
      if (actual === null || actual === before) kept.push(name);
      else late.push({side: 'source', repository, tag: tag as Tag, planned: before, actual});
    }
  }
  const counted = records.reduce((sum, {tagsCount = 0}) => sum + tagsCount, 0);
  return {kept, late: inOrder(late), counted};
}

/** A signal ends the wait at once: nothing is under way. */
async function wait(ms: number, {interruption}: TransferRun): Promise<void> {
  const signal = AbortSignal.any([interruption.stopping, interruption.aborted]);
  try {
    await pause(ms, signal);
  } catch (error) {
    if (signal.aborted) throw interrupted();
    throw error;
  }
}

function notEmpty({project}: TransferPlan, {kept, counted}: Rest): TransshipError {
  const [first] = kept;
  if (first !== undefined) {
    return new TransshipError(
      'REPOSITORY_DELETE_FAILED',
      `the registry said that it deleted ${first}${kept.length > 1 ? ` and ${kept.length - 1} more` : ''}, and still lists it`,
      {
        side: 'gitlab',
        hint: 'its storage does not delete; an administrator should look at the rights there. All images are at the donor: apply again then, or roll back',
      },
    );
  }
  return new TransshipError(
    'CHANGE_NOT_SEEN',
    `the registry has no tags of ${project.from} any more, and GitLab still counts ${counted}`,
    {
      side: 'gitlab',
      hint: 'it may take some minutes: apply again to go on, or roll back to put the images back',
      retry: true,
    },
  );
}

function deleteFailed(path: string): TransshipError {
  return new TransshipError('REPOSITORY_DELETE_FAILED', `GitLab failed to delete ${path}`, {
    side: 'gitlab',
    hint: 'its registry cannot delete; an administrator should look at the rights of its storage. Roll back to put the images back',
  });
}
