import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {RunEnd} from '../model/outcome.ts';
import type {SavedUpload} from '../model/port.ts';
import type {Tag} from '../model/reference.ts';
import {isTransferEntry, type JournalEntry, type TransferEntry} from './journal-entry.ts';
import {JournalWriter, readJournal} from './journal-file.ts';
import {lockJournal, type Processes} from './journal-lock.ts';

/** What an applying run needs of its memory. What is done is always found at the destination; this saves the rest. */
export interface Journal extends AsyncDisposable {
  /** Whether an earlier run has written to it. */
  readonly continues: boolean;
  /** The upload that an earlier run left for this blob. */
  savedUpload(digest: Digest, to: string): SavedUpload | undefined;
  /** Tags that earlier runs of a transfer took along beside those of the plan. */
  readonly adopted: readonly {readonly repository: string; readonly tag: Tag}[];
  /** What earlier runs and this one wrote down of a transfer, in order. */
  readonly transfer: readonly TransferEntry[];
  /** For what must not be forgotten: resolves when it is on the disk. */
  append(entry: JournalEntry): Promise<void>;
  /** For what is only told: a run that is killed may have done a little more than its journal says. */
  note(entry: JournalEntry): void;
  end(result: RunEnd): Promise<void>;
}

/** Of a run that does nothing, and so has nothing to remember. */
export const NO_JOURNAL: Journal = {
  continues: false,
  savedUpload: () => undefined,
  adopted: [],
  transfer: [],
  append: () => Promise.resolve(),
  note: () => undefined,
  end: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

export interface JournalOptions {
  readonly file: string;
  readonly plan: Digest;
  /**
   * Go on with the uploads that another plan of the same work left. A copy that was killed plans anew when it is run
   * again, and what is at the destination by then makes it another plan.
   */
  readonly anyPlan?: boolean;
  /** The time of day, for people who read the journal. */
  readonly now: () => Date;
  readonly processes: Processes;
}

/**
 * Opens the journal of a plan, or begins it.
 * @throws TransshipError JOURNAL_BUSY, JOURNAL_INVALID, JOURNAL_WRITE_FAILED
 */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const lock = await lockJournal(options.file, options.processes);
  try {
    return await openLocked(options, lock);
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

async function openLocked(
  {file, plan, anyPlan, now}: JournalOptions,
  lock: AsyncDisposable,
): Promise<Journal> {
  const before = await readJournal(file);
  const other = before.find((entry) => entry.type === 'run' && entry.plan !== plan);
  if (other !== undefined && anyPlan !== true) throw otherPlan(file);
  const {writer, entries} = await JournalWriter.open(file);
  await writer.append({type: 'run', plan, at: now().toISOString()});
  const uploads = openUploads(entries);
  const transfer = entries.filter(isTransferEntry);
  return {
    continues: entries.length > 0,
    savedUpload: (digest, to) => uploads.get(uploadKey(digest, to)),
    adopted: entries.filter((entry) => entry.type === 'adopt'),
    transfer,
    append: async (entry) => {
      await writer.append(entry);
      if (isTransferEntry(entry)) transfer.push(entry);
    },
    note: (entry) => writer.note(entry),
    end: (result) => writer.append({type: 'end', result, at: now().toISOString()}),
    [Symbol.asyncDispose]: async () => {
      await writer[Symbol.asyncDispose]();
      await lock[Symbol.asyncDispose]();
    },
  };
}

/** The uploads that were begun and not brought to an end, by `uploadKey`. */
export function openUploads(entries: readonly JournalEntry[]): ReadonlyMap<string, SavedUpload> {
  const uploads = new Map<string, SavedUpload>();
  for (const entry of entries) {
    if (entry.type === 'upload') {
      const {digest, location, offset, minChunk} = entry;
      uploads.set(uploadKey(digest, entry.to), {digest, location, offset, minChunk});
    } else if (entry.type === 'blob') {
      uploads.delete(uploadKey(entry.digest, entry.to));
    }
  }
  return uploads;
}

export function uploadKey(digest: Digest, to: string): string {
  return `${digest} ${to}`;
}

function otherPlan(file: string): TransshipError {
  return new TransshipError('JOURNAL_INVALID', `the journal ${file} belongs to another plan`, {
    side: 'local',
    hint: 'name another file with --journal, or move this one away',
  });
}
