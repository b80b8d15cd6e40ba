import type {ContainerRepository} from '../../gitlab/container-repositories.ts';
import {TransshipError} from '../../model/error.ts';
import type {Drift} from '../../model/outcome.ts';
import type {Tag} from '../../model/reference.ts';
import {type GroupMove, type ProjectMove, type TransferUnit} from '../../model/transfer-plan.ts';
import {mapAtOnce} from '../../observe/at-once.ts';
import {sortedDrift} from '../find-drift.ts';
import {TAG_DELETE_CONCURRENCY} from './delete-old.ts';
import {DONE, type PlanRun, PRESENT, type StepEnd, waitUnlessStopped} from './transfer-run.ts';

/**
 * The first wait between two checks, in ms. Each wait is twice as long as the previous one, up to the limit of the
 * patience.
 */
const FIRST_WAIT_MS = 200;

/** A group of the plan with its projects, as this run moves them. */
export type GroupUnit = TransferUnit & {readonly group: GroupMove};

/**
 * Deletes GitLab's records of image paths below a group, and waits until none is left. GitLab deletes a record with all
 * tags that it has at that time, so each record is checked just before: one with a tag is not deleted.
 * @throws TransshipError DRIFT for a record that the plan does not contain, REPOSITORY_DELETE_FAILED, CHANGE_NOT_SEEN,
 *   PROTECTED, FORBIDDEN, INTERRUPTED
 */
export async function deleteGroupRecords(unit: GroupUnit, run: PlanRun): Promise<StepEnd> {
  const {context, call} = run;
  const {everyMs, limitMs} = context.deletionPatience;
  const asked = new Set<number>();
  let wait = Math.min(FIRST_WAIT_MS, everyMs);
  for (let waitedMs = 0; ; wait = Math.min(2 * wait, everyMs)) {
    const records = await context.gitlab.repositories.ofGroup(unit.group.group.id, call);
    if (records.length === 0) return asked.size > 0 ? DONE : PRESENT;
    const failed = records.find(({id, status}) => status === 'delete_failed' && asked.has(id));
    if (failed !== undefined) throw deleteFailed(failed);
    // A failed deletion is requested again, because its cause may be gone.
    const open = records.filter(
      ({id, status}) => !asked.has(id) && (status === undefined || status === 'delete_failed'),
    );
    const late = await lateTags(unit, open, run);
    if (late.length > 0) return {end: 'drift', drift: late};
    await mapAtOnce(open, TAG_DELETE_CONCURRENCY, async (record) => {
      await context.gitlab.repositories.delete(record, call);
      asked.add(record.id);
    });
    if (waitedMs >= limitMs) throw stillThere(records, limitMs);
    await waitUnlessStopped(wait, run);
    waitedMs += wait;
  }
}

/**
 * Tags in records that are to be deleted: in unknown repositories, which were created after planning, and in known
 * ones, to which tags were pushed after they were emptied.
 * @throws TransshipError DRIFT for an empty record that the plan does not contain, unless new tags are included
 */
export async function lateTags(
  unit: GroupUnit,
  records: readonly ContainerRepository[],
  {context, call}: PlanRun,
): Promise<readonly Drift[]> {
  const known = new Set(knownRecords(unit));
  const found = await mapAtOnce(records, TAG_DELETE_CONCURRENCY, async ({registryHost, path}) => {
    const repository = `${registryHost}/${path}`;
    const source = context.repositories.source(repository);
    const tags = (await source.listTags(call)) ?? [];
    if (tags.length === 0 && !known.has(repository) && !context.adoptNewTags)
      throw unknownRecord(repository);
    return mapAtOnce(tags, TAG_DELETE_CONCURRENCY, async (name): Promise<Drift> => {
      const tag = name as Tag;
      const actual = (await source.head(tag, call))?.digest ?? null;
      return {side: 'source', repository, tag, planned: plannedAt(unit, repository, tag), actual};
    });
  });
  return sortedDrift(found.flat());
}

/** The records that the plan deletes, as `host/path`. */
function knownRecords({group, moves}: GroupUnit): readonly string[] {
  return [
    ...group.records,
    ...moves.flatMap(({repositories}) => repositories.map(({from}) => from)),
  ];
}

function plannedAt(
  {moves}: {readonly moves: readonly ProjectMove[]},
  repository: string,
  tag: Tag,
): Drift['planned'] {
  const tags = moves
    .flatMap(({repositories}) => repositories)
    .find(({from}) => from === repository)?.tags;
  return tags?.find(({name}) => name === tag)?.digest ?? null;
}

/**
 * Waits until GitLab has finished deleting records below a group: it would delete what is pushed there before that.
 * @throws TransshipError CHANGE_NOT_SEEN, INTERRUPTED
 */
export async function untilNoneDeleted({group}: GroupUnit, run: PlanRun): Promise<void> {
  const {context, call} = run;
  const {everyMs, limitMs} = context.deletionPatience;
  let wait = Math.min(FIRST_WAIT_MS, everyMs);
  for (let waitedMs = 0; ; wait = Math.min(2 * wait, everyMs)) {
    const records = await context.gitlab.repositories.ofGroup(group.group.id, call);
    const going = records.filter(
      ({status}) => status === 'delete_scheduled' || status === 'delete_ongoing',
    );
    if (going.length === 0) return;
    if (waitedMs >= limitMs) throw stillThere(going, limitMs);
    await waitUnlessStopped(wait, run);
    waitedMs += wait;
  }
}

function deleteFailed({path}: ContainerRepository): TransshipError {
  return new TransshipError('REPOSITORY_DELETE_FAILED', `GitLab failed to delete ${path}`, {
    side: 'gitlab',
    hint: 'its registry cannot delete; an administrator should check the permissions of its storage, then apply again. Or roll back to restore the images',
  });
}

function stillThere(records: readonly ContainerRepository[], limitMs: number): TransshipError {
  const [first] = records;
  const more = records.length > 1 ? ` and ${records.length - 1} more` : '';
  const minutes = Math.round(limitMs / 60_000);
  return new TransshipError(
    'CHANGE_NOT_SEEN',
    `after ${minutes} minutes GitLab has not deleted ${first?.path ?? ''} (${first?.status ?? 'no status'})${more}`,
    {
      side: 'gitlab',
      hint: 'GitLab deletes in the background, a few repositories at a time: run this again to continue waiting. If nothing changes, an administrator should look at the Sidekiq queue of container repositories',
      retry: true,
    },
  );
}

function unknownRecord(repository: string): TransshipError {
  return new TransshipError(
    'DRIFT',
    `GitLab now has an image repository ${repository} that is not in the plan`,
    {
      side: 'gitlab',
      hint: 'it is empty: apply with --adopt-new-tags to delete it with the others, or plan again',
    },
  );
}
