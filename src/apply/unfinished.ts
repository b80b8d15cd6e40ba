import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {Tag} from '../model/reference.ts';
import type {PolicyState} from '../model/transfer-plan.ts';
import {type JournalEntry, planArguments} from './journal-file.ts';

/** Which transfer a journal belongs to, so that other plans of the same project can find it. */
export type JournaledTransfer = NonNullable<Extract<JournalEntry, {type: 'run'}>['transfer']>;

/** A tag that was deleted at the old path. */
export interface DeletedTag {
  /** `host/path`. */
  readonly repository: string;
  readonly tag: Tag;
  readonly digest: Digest;
}

/** What the runs of a journal changed at GitLab and have neither completed nor taken back. */
export interface Unfinished {
  readonly plan?: Digest;
  /** Undefined: the journal of a copy. */
  readonly transfer?: JournaledTransfer;
  /** By `repository:tag`. Each is at the donor, or at the new path by now. */
  readonly deleted: ReadonlyMap<string, DeletedTag>;
  /** The cleanup policies that were switched off, as they were before, by the id of their project. */
  readonly paused: ReadonlyMap<number, PolicyState>;
}

/** Adds up what a journal says, from its first run to its last. */
export function unfinishedIn(entries: readonly JournalEntry[]): Unfinished {
  const deleted = new Map<string, DeletedTag>();
  let run: Extract<JournalEntry, {type: 'run'}> | undefined;
  const paused = new Map<number, PolicyState>();
  let isRollback = false;
  for (const entry of entries) {
    switch (entry.type) {
      case 'run':
        run = entry;
        isRollback = false;
        break;
      case 'rollback':
        isRollback = true;
        break;
      case 'delete':
        deleted.set(`${entry.repository}:${entry.tag}`, entry);
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
      case 'end':
        // A rollback that ends with drift has put back all but what somebody else pushed meanwhile.
        if (entry.result === 'done' || (isRollback && entry.result === 'drift')) deleted.clear();
        break;
      default:
        break;
    }
  }
  return {
    deleted,
    paused,
    ...(run === undefined ? {} : {plan: run.plan}),
    ...(run?.transfer === undefined ? {} : {transfer: run.transfer}),
  };
}

/**
 * Says what is gone, where it waits, and which commands work.
 * @param planFile default: as the journal has it
 */
export function transferUnfinished(
  {plan, transfer, deleted}: Unfinished,
  journal: string,
  planFile = transfer?.planFile,
): TransshipError {
  const tags = deleted.size === 1 ? '1 tag' : `${deleted.size} tags`;
  const of = transfer === undefined ? '' : ` of ${transfer.from}`;
  const at = transfer === undefined ? 'the donor' : `the donor ${transfer.donor}`;
  const file = planFile === undefined ? `the plan ${plan ?? ''}` : planArguments(planFile, journal);
  return new TransshipError(
    'TRANSFER_UNFINISHED',
    `an earlier transfer is not finished: ${tags}${of} ${deleted.size === 1 ? 'is' : 'are'} gone from the old path and ${deleted.size === 1 ? 'waits' : 'wait'} at ${at} (journal ${journal})`,
    {
      side: 'local',
      hint: `complete it with "transship apply ${file}" (add --adopt-new-tags if tags were pushed since), or put the images back with "transship rollback ${file}" while the project is at its old path; then plan again`,
    },
  );
}
