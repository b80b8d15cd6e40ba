import PQueue from 'p-queue';
import type {ContainerRepository} from '../../gitlab/container-repository.ts';
import {TransshipError} from '../../model/error.ts';
import type {Drift} from '../../model/outcome.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import {throwIfStopping} from '../../model/interrupted.ts';
import {inOrder} from '../find-drift.ts';
import {settleAll} from '../settle-all.ts';
import {type OldTag, readOldTags} from './old-tags.ts';
import {throwIfProtected} from './probe.ts';
import {DONE, PRESENT, type StepEnd} from './step-end.ts';
import type {TransferRun} from './transfer-context.ts';
import {untilEmpty} from './until-empty.ts';

/** Deletions at once. Few: each is a write at GitLab, and all end at the first that finds something else than planned. */
export const DELETE_CONCURRENCY = 8;

/**
 * Empties the old path, tag by tag. Before the first deletion all tags are read again; before each of them its own,
 * since a push may come in between. Then it waits until the registry and GitLab agree that nothing is left.
 * @throws TransshipError the refusals of the registry and of GitLab, and what `untilEmpty` throws
 */
export async function deleteOld(plan: TransferPlan, run: TransferRun): Promise<StepEnd> {
  if (run.progress.where !== 'before') return PRESENT;
  const {planned, drift} = await readOldTags(plan, run);
  if (drift.length > 0) return {end: 'drift', drift};
  if (planned.length > 0) {
    throwIfUnproved(run);
    await throwIfProtected(plan, planned, run);
    const moved = await deleteTags(plan, planned, run);
    if (moved.length > 0) return {end: 'drift', drift: moved};
  }
  const late = await untilEmpty(plan, run);
  if (late.length > 0) return {end: 'drift', drift: late};
  return planned.length > 0 ? DONE : PRESENT;
}

function throwIfUnproved({progress}: TransferRun): void {
  if (progress.isDonorProved) return;
  throw new TransshipError('INTERNAL', 'the donor was not verified before the deletion', {
    side: 'local',
    hint: 'the plan has its steps in a wrong order; plan again',
  });
}

/** @returns tags that were found to point elsewhere; no deletion is begun after the first of them */
async function deleteTags(
  plan: TransferPlan,
  tags: readonly OldTag[],
  run: TransferRun,
): Promise<readonly Drift[]> {
  const {context, call, interruption} = run;
  const deleteTag = await deletionOf(plan, run);
  const queue = new PQueue({concurrency: DELETE_CONCURRENCY});
  const drift: Drift[] = [];
  let isEnded = false;
  const deletions = tags.map((old) => async () => {
    if (isEnded) return;
    try {
      throwIfStopping(interruption.stopping);
      const {repository, tag, digest: planned} = old;
      const now = await context.repositories.source(repository).head(tag, call);
      if (now === undefined) return;
      if (now.digest !== planned) {
        isEnded = true;
        drift.push({side: 'source', repository, tag, planned, actual: now.digest});
        return;
      }
      await context.journal.append({type: 'delete', repository, tag, digest: planned});
      await deleteTag(old).catch(async (error: unknown) => {
        await noteIfKept(old, run);
        throw error;
      });
    } catch (error) {
      isEnded = true;
      throw error;
    }
  });
  try {
    await settleAll(deletions.map((one) => queue.add(one)));
  } catch (error) {
    if (drift.length === 0) throw error;
  }
  return inOrder(drift);
}

/** A refused deletion has deleted nothing, which decides what can be done next. */
async function noteIfKept(old: OldTag, {context, call}: TransferRun): Promise<void> {
  const {repository, tag, digest} = old;
  const there = await context.repositories
    .source(repository)
    .head(tag, call)
    // Then it is not known, and counts as deleted.
    .catch(() => undefined);
  if (there?.digest !== digest) return;
  await context.journal.append({type: 'kept', repository, tag});
}

/**
 * How a tag is deleted alone. A registry that does not say that it can is not asked: it might delete all tags of the
 * digest. GitLab knows how to ask it.
 */
async function deletionOf(
  plan: TransferPlan,
  {context, call}: TransferRun,
): Promise<(tag: OldTag) => Promise<void>> {
  const {deletesTags} = await context.traits(call);
  if (deletesTags) {
    return async ({repository, tag}) => {
      await context.repositories.destination(repository).deleteTag?.(tag, call);
    };
  }
  const {repositories} = context.gitlab;
  const records = new Map<string, ContainerRepository>();
  for (const record of await repositories.ofProject(plan.project.id, call))
    records.set(`${record.registryHost}/${record.path}`, record);
  return async ({repository, tag}) => {
    const record = records.get(repository);
    if (record === undefined) throw unknownToGitLab(repository);
    await repositories.deleteTag(record, tag, call);
  };
}

function unknownToGitLab(repository: string): TransshipError {
  return new TransshipError('REPOSITORY_NOT_FOUND', `GitLab has no record of ${repository}`, {
    side: 'gitlab',
    hint: 'this registry deletes tags through GitLab only: push any tag to that repository, then apply again',
  });
}
