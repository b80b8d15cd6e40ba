import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Tag} from '../model/reference.ts';
import type {PolicyState} from '../model/transfer-plan.ts';
import {type JournalEntry, planArguments} from './journal-file.ts';

/** Which transfer a journal belongs to, so that other plans of the same project can find it. */
export type JournaledTransfer = NonNullable<Extract<JournalEntry, {type: 'run'}>['transfer']>;

/** A tag that was deleted at the old path. */
export interface DeletedTag {
  /** GitLab's ID of the project. */
  readonly project: number;
  /** `host/path`. */
  readonly repository: string;
  readonly tag: Tag;
  readonly digest: Digest;
}

/** The changes of a journal's runs at GitLab that were neither completed nor rolled back. */
export interface Unfinished {
  readonly plan?: Digest;
  /** Undefined: the journal of a copy. */
  readonly transfer?: JournaledTransfer;
  /** Deleted tags by `repository:tag`. Each is at the donor, or already at the new path. */
  readonly deleted: ReadonlyMap<string, DeletedTag>;
  /** The previous settings of disabled cleanup policies, by the id of their project. */
  readonly paused: ReadonlyMap<number, PolicyState>;
  /** IDs of the projects whose last run completed the move or the rollback with all images. */
  readonly completed: ReadonlySet<number>;
}

/** The tags of one project that were deleted at its old path and are at the donor. */
export function deletedOf(
  {deleted}: Pick<Unfinished, 'deleted'>,
  project: number,
): readonly DeletedTag[] {
  return [...deleted.values()].filter((one) => one.project === project);
}

/** Derives the unfinished changes from a journal. */
export function unfinishedIn(entries: readonly JournalEntry[]): Unfinished {
  const deleted = new Map<string, DeletedTag>();
  let run: Extract<JournalEntry, {type: 'run'}> | undefined;
  const paused = new Map<number, PolicyState>();
  const completed = new Set<number>();
  /** Projects that the last run rolls back. */
  const goingBack = new Set<number>();
  for (const entry of entries) {
    switch (entry.type) {
      case 'run':
        run = entry;
        goingBack.clear();
        break;
      case 'rollback':
        goingBack.add(entry.project);
        completed.delete(entry.project);
        break;
      case 'delete':
        deleted.set(`${entry.repository}:${entry.tag}`, entry);
        completed.delete(entry.project);
        break;
      case 'kept':
        deleted.delete(`${entry.repository}:${entry.tag}`);
        break;
      case 'pause':
        paused.set(entry.project, entry.policy);
        break;
      case 'resume':
        paused.delete(entry.project);
        break;
      case 'project-end': {
        const {project, result} = entry;
        // A rollback that ends with drift has restored everything except tags that were pushed meanwhile.
        if (result !== 'done' && !(goingBack.has(project) && result === 'drift')) {
          completed.delete(project);
          break;
        }
        for (const [name, tag] of deleted) if (tag.project === project) deleted.delete(name);
        completed.add(project);
        break;
      }
      default:
        break;
    }
  }
  return {
    deleted,
    paused,
    completed,
    ...(run === undefined ? {} : {plan: run.plan}),
    ...(run?.transfer === undefined ? {} : {transfer: run.transfer}),
  };
}

/**
 * The error for an unfinished transfer: the deleted images, their location, and the possible commands.
 * @param planFile default: the name in the journal
 */
export function transferUnfinished(
  {plan, transfer, deleted}: Unfinished,
  journal: string,
  planFile = transfer?.planFile,
): TransshipError {
  const tags = deleted.size === 1 ? '1 tag' : `${deleted.size} tags`;
  const ids = new Set([...deleted.values()].map(({project}) => project));
  const [project, ...others] = transfer?.projects.filter(({id}) => ids.has(id)) ?? [];
  const more = others.length === 0 ? '' : ` and ${others.length} more projects`;
  const of = project === undefined ? '' : ` of ${project.from}${more}`;
  const at = project === undefined ? 'the donor' : `the donor ${project.donor}`;
  const file = planFile === undefined ? `the plan ${plan ?? ''}` : planArguments(planFile, journal);
  return new TransshipError(
    'TRANSFER_UNFINISHED',
    `an earlier transfer is not finished: ${tags}${of} ${deleted.size === 1 ? 'is' : 'are'} gone from the old path and ${deleted.size === 1 ? 'waits' : 'wait'} at ${at} (journal ${journal})`,
    {
      side: 'local',
      hint: `complete it with "transship apply ${file}" (add --adopt-new-tags if tags were pushed since), or restore the images with "transship rollback ${file}" while the project is at its old path; then plan again`,
    },
  );
}
