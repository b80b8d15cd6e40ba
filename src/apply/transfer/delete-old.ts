import PQueue from 'p-queue';
import type {ContainerRepository} from '../../gitlab/container-repositories.ts';
import type {Digest} from '../../model/digest.ts';
import {throwIfStopping, TransshipError} from '../../model/error.ts';
import type {Drift} from '../../model/outcome.ts';
import type {Tag} from '../../model/reference.ts';
import type {ProjectMove} from '../../model/transfer-plan.ts';
import {whyLimited} from '../../plan/transfer/rule-checks.ts';
import {mapAtOnce, settleAll} from '../../observe/at-once.ts';
import {OBSERVE_CONCURRENCY} from '../../observe/observe-source.ts';
import {sortedDrift} from '../find-drift.ts';
import {isDonorThere} from './donor.ts';
import {DONE, PRESENT, type StepEnd, type TransferRun} from './transfer-run.ts';
import {oldRepositories, untilEmpty} from './until-empty.ts';

/**
 * Concurrent deletions. Few, because each is a write at GitLab, and all stop at the first tag that is not as planned.
 */
export const TAG_DELETE_CONCURRENCY = 16;

/**
 * Empties the old path tag by tag. All tags are read again before the first deletion, and each tag just before its own,
 * because somebody may push in between. Then waits until the registry and GitLab agree that nothing is left.
 * @throws TransshipError the refusals of the registry and of GitLab, and the errors of `untilEmpty`
 */
export async function deleteOld(move: ProjectMove, run: TransferRun): Promise<StepEnd> {
  if (run.progress.where !== 'before') return PRESENT;
  const {planned, drift} = await readOldTags(move, run);
  if (drift.length > 0) return {end: 'drift', drift};
  if (planned.length > 0) {
    throwIfUnproved(run);
    await throwIfProtected(move, planned, run);
    const moved = await deleteTags(move, planned, run);
    if (moved.length > 0) return {end: 'drift', drift: moved};
  }
  const late = await untilEmpty(move, run);
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

/**
 * Checks rules that only the registry's token shows: if one protects some of the tags, the others would be deleted and
 * the project could not be moved.
 * @throws TransshipError PROTECTED with the first protected tag
 */
async function throwIfProtected(
  {project}: ProjectMove,
  tags: readonly OldTag[],
  {context, call}: TransferRun,
): Promise<void> {
  const byRepository = Map.groupBy(tags, ({repository}) => repository);
  for (const [repository, own] of byRepository) {
    const limits = await context.tagLimits(repository, call);
    for (const {tag} of limits === undefined ? [] : own) {
      const why = limits && whyLimited(limits, tag);
      if (why === undefined) continue;
      throw new TransshipError(
        'PROTECTED',
        `the registry does not let this token move ${repository}:${tag}: ${why}`,
        {
          side: 'gitlab',
          hint: `no tag was deleted by this step. Remove the rule from ${project.from} for the time of the move, then apply again; or roll back`,
        },
      );
    }
  }
}

/** @returns tags that point elsewhere; after the first of them, no deletion is started */
async function deleteTags(
  move: ProjectMove,
  tags: readonly OldTag[],
  run: TransferRun,
): Promise<readonly Drift[]> {
  const {context, call, interruption} = run;
  const project = move.project.id;
  const deleteTag = await deletionOf(move, run);
  const queue = new PQueue({concurrency: TAG_DELETE_CONCURRENCY});
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
      const name = run.journalName(repository);
      await context.journal.append({
        type: 'delete',
        project,
        repository: name,
        tag,
        digest: planned,
      });
      await deleteTag(old).catch(async (error: unknown) => {
        await noteIfKept(project, old, run);
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
  return sortedDrift(drift);
}

/** Records that a refused deletion deleted nothing, which determines the next steps. */
async function noteIfKept(
  project: number,
  old: OldTag,
  {context, call, journalName}: TransferRun,
): Promise<void> {
  const {repository, tag, digest} = old;
  const there = await context.repositories
    .source(repository)
    .head(tag, call)
    // Otherwise it is unknown, and counts as deleted.
    .catch(() => undefined);
  if (there?.digest !== digest) return;
  await context.journal.append({type: 'kept', project, repository: journalName(repository), tag});
}

/**
 * How to delete a single tag. If the registry does not declare that it can, GitLab deletes the tag: the registry might
 * delete all tags of the digest.
 */
async function deletionOf(
  move: ProjectMove,
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
  for (const record of await repositories.ofProject(move.project.id, call))
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

/** A tag at the old path, with its digest. */
export interface OldTag {
  /** `host/path`. */
  readonly repository: string;
  readonly tag: Tag;
  readonly digest: Digest;
}

export function oldName({repository, tag}: Pick<OldTag, 'repository' | 'tag'>): string {
  return `${repository}:${tag}`;
}

/** The tags at the old path, compared with the plan. */
export interface OldTags {
  /** Planned tags that point to the planned digest. */
  readonly planned: readonly OldTag[];
  /** Tags that are new, point elsewhere, or were deleted although the donor does not have them. */
  readonly drift: readonly Drift[];
}

/**
 * Reads all tags at the old path, including those of repositories that were created after planning: a list for each
 * repository and a HEAD for each tag. Planned tags that are gone, but that the donor has, count as deleted by this
 * plan, even if the journal does not contain the deletion.
 */
export async function readOldTags(move: ProjectMove, run: TransferRun): Promise<OldTags> {
  const records = await run.context.gitlab.repositories.ofProject(move.project.id, run.call);
  const found = await mapAtOnce(oldRepositories(move, records), OBSERVE_CONCURRENCY, (name) =>
    readRepository(name, run),
  );
  const actual = new Map(found.flat().map((one) => [`${one.repository}:${one.tag}`, one]));
  const donorHas = donorReader(move, run);
  const planned: OldTag[] = [];
  const held: OldTag[] = [];
  const drift: Drift[] = [];
  for (const {from, donor, tags} of move.repositories) {
    for (const {name: tag, digest} of tags) {
      const now = actual.get(`${from}:${tag}`)?.digest ?? null;
      actual.delete(`${from}:${tag}`);
      const isHeld = now === null && (await donorHas(donor, tag, digest));
      if (now === digest) planned.push({repository: from, tag, digest});
      else if (isHeld) held.push({repository: from, tag, digest});
      else drift.push({side: 'source', repository: from, tag, planned: digest, actual: now});
    }
  }
  for (const {repository, tag, digest} of actual.values())
    drift.push({side: 'source', repository, tag, planned: null, actual: digest});
  await noteDeleted(move, planned, held, run);
  return {planned, drift: sortedDrift(drift)};
}

/** Adds deletions that the journal lacks: it may be lost, or its run was killed just before a deletion. */
async function noteDeleted(
  {project: {id: project}}: ProjectMove,
  there: readonly OldTag[],
  held: readonly OldTag[],
  {context: {journal}, journalName}: TransferRun,
): Promise<void> {
  const {deleted} = journal.unfinished;
  const named = (one: OldTag): OldTag => ({...one, repository: journalName(one.repository)});
  for (const one of held.map(named))
    if (!deleted.has(oldName(one))) await journal.append({type: 'delete', project, ...one});
  for (const one of there.map(named)) {
    const {repository, tag} = one;
    if (deleted.has(oldName(one))) await journal.append({type: 'kept', project, repository, tag});
  }
}

async function readRepository(
  name: string,
  {context, call}: TransferRun,
): Promise<readonly OldTag[]> {
  const repository = context.repositories.source(name);
  const tags = (await repository.listTags(call)) ?? [];
  const read = await mapAtOnce(tags, OBSERVE_CONCURRENCY, async (tag) => {
    const head = await repository.head(tag as Tag, call);
    return head && {repository: name, tag: tag as Tag, digest: head.digest};
  });
  return read.filter((one) => one !== undefined);
}

/** Reads a tag at the donor. A donor project that does not exist yet has none. */
function donorReader(
  move: ProjectMove,
  run: TransferRun,
): (donor: string, tag: Tag, digest: Digest) => Promise<boolean> {
  let isThere: Promise<boolean> | undefined;
  return async (donor, tag, digest) => {
    isThere ??= isDonorThere(move, run);
    if (!(await isThere)) return false;
    const {repositories} = run.context;
    return (await repositories.destination(donor).head(tag, run.call))?.digest === digest;
  };
}
