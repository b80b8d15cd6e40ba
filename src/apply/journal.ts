import {rename} from 'node:fs/promises';
import type {Redactor} from '../http/redaction.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {RunEvent} from '../model/event.ts';
import type {RunEnd} from '../model/outcome.ts';
import type {SavedUpload} from '../model/port.ts';
import {
  isTransferEntry,
  type JournalEntry,
  JournalWriter,
  type TransferEntry,
} from './journal-file.ts';
import {JournalTimes} from './journal-times.ts';
import {
  type JournaledTransfer,
  transferUnfinished,
  type Unfinished,
  unfinishedIn,
} from './unfinished.ts';
import type {FileLock} from '../places/file-lock.ts';
import {type RunLock, takeRunLocks} from './run-locks.ts';

/** What an applying run needs of its memory. What is done is always found at the destination; this saves the rest. */
export interface Journal extends AsyncDisposable {
  /** Whether an earlier run has written to it. */
  readonly continues: boolean;
  /** What earlier runs and this one changed and have neither completed nor taken back. */
  readonly unfinished: Unfinished;
  /** The upload that an earlier run left for this blob. */
  savedUpload(digest: Digest, to: string): SavedUpload | undefined;
  /** What earlier runs and this one wrote down of a transfer, in order. */
  readonly transfer: readonly TransferEntry[];
  /** For what must not be forgotten: resolves when it is on the disk. */
  append(entry: JournalEntry): Promise<void>;
  /** For what is only told: a run that is killed may have done a little more than its journal says. */
  note(entry: JournalEntry): void;
  /** Takes the times of what the run tells: the entries that follow have them. */
  watch(event: RunEvent): void;
  end(result: RunEnd): Promise<void>;
}

/** Of a run that does nothing, and so has nothing to remember. */
export const NO_JOURNAL: Journal = {
  continues: false,
  unfinished: unfinishedIn([]),
  savedUpload: () => undefined,
  transfer: [],
  append: () => Promise.resolve(),
  note: () => undefined,
  watch: () => undefined,
  end: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

export interface JournalOptions {
  readonly file: string;
  readonly plan: Digest;
  /** Of a plan of transfers: written down, so that plans to come can find it. */
  readonly transfer?: JournaledTransfer;
  /** Of transfers: the locks that their projects have on this machine, whichever plan and journal a run has. */
  readonly projectLocks?: readonly RunLock[];
  /**
   * Go on with the uploads that another plan of the same work left. A copy that was killed plans anew when it is run
   * again, and what is at the destination by then makes it another plan.
   */
  readonly anyPlan?: boolean;
  /** The time of day, for people who read the journal. */
  readonly now: () => Date;
  /** No secret gets into the file. */
  readonly redactor: Redactor;
  /** Ends the wait for a lock whose owner cannot be looked up. */
  readonly signal?: AbortSignal;
  /** Told where that wait begins. */
  readonly notice?: (code: string, message: string) => void;
}

/**
 * Opens the journal of a plan, or begins it. The journal of another plan is renamed to `FILE.old`, unless images that
 * it deleted are still at a donor. What it says about half-sent blobs, cleanup policies that are off and directories of
 * the donor goes on to count.
 * @throws TransshipError TRANSFER_UNFINISHED, JOURNAL_BUSY, JOURNAL_INVALID, JOURNAL_WRITE_FAILED
 */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const lock = await takeRunLocks(options);
  try {
    return await openLocked(options, lock);
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

async function openLocked(
  {file, plan, transfer, anyPlan, now, redactor}: JournalOptions,
  lock: FileLock,
): Promise<Journal> {
  const before = await JournalWriter.open(file);
  const isOther = before.entries.some((entry) => entry.type === 'run' && entry.plan !== plan);
  const others = isOther && anyPlan !== true ? before.entries : [];
  if (others.length > 0) {
    await before.writer[Symbol.asyncDispose]();
    await putAside(file, unfinishedIn(others));
  }
  const {writer, entries} = others.length > 0 ? await JournalWriter.open(file) : before;
  await writer.append({
    type: 'run',
    plan,
    at: now().toISOString(),
    ...(transfer === undefined ? {} : {transfer}),
  });
  const carriedOver = carriedOverFrom(others);
  for (const entry of carriedOver) await writer.append(entry);
  const remembered: TransferEntry[] = [...entries.filter(isTransferEntry), ...carriedOver];
  const uploads = openUploads([...others, ...entries]);
  const times = new JournalTimes(now);
  const append = async (entry: JournalEntry): Promise<void> => {
    if (lock.isLost) throw lockLost(file);
    const written = withoutSecrets(times.timed(entry), redactor);
    if (written === undefined) return;
    const [isHeld] = await Promise.all([lock.isHeld(), writer.append(written)]);
    if (!isHeld) throw lockLost(file);
    if (isTransferEntry(written)) remembered.push(written);
  };
  const note = (entry: JournalEntry): void => {
    if (lock.isLost) throw lockLost(file);
    const written = withoutSecrets(times.timed(entry), redactor);
    if (written !== undefined) writer.note(written);
  };
  return {
    continues: entries.length > 0,
    get unfinished() {
      return unfinishedIn(remembered);
    },
    savedUpload: (digest, to) => uploads.get(uploadKey(digest, to)),
    transfer: remembered,
    append,
    note,
    watch: (event) => {
      const retry = times.see(event);
      if (retry !== undefined) note(retry);
    },
    end: (result) => append({type: 'end', result, at: now().toISOString()}),
    [Symbol.asyncDispose]: async () => {
      await writer[Symbol.asyncDispose]();
      await lock[Symbol.asyncDispose]();
    },
  };
}

/**
 * The entry as it may be in a file. Undefined: an upload whose URL is a permission in itself (a presigned URL, or one
 * that holds a token) is remembered by this process alone; after a kill its blob starts anew.
 */
function withoutSecrets(entry: JournalEntry, redactor: Redactor): JournalEntry | undefined {
  if (entry.type === 'upload') {
    const url = URL.parse(entry.location);
    const hasLogin = url !== null && (url.username !== '' || url.password !== '');
    return hasLogin || !redactor.isClean(entry.location) ? undefined : entry;
  }
  if (entry.type === 'retry') return {...entry, what: redactor.redact(entry.what)};
  if (entry.type !== 'step' || entry.error === undefined) return entry;
  const {message, hint} = entry.error;
  const redacted = {message: redactor.redact(message), hint: redactor.redact(hint)};
  return {...entry, error: {...entry.error, ...redacted}};
}

/**
 * What counts of another plan's journal: cleanup policies that are still off, to be put back all the same, and
 * directories that were made for the donor. Not its donor project: the review of this plan does not say that it would
 * be deleted.
 */
function carriedOverFrom(entries: readonly JournalEntry[]): readonly TransferEntry[] {
  return [
    ...[...unfinishedIn(entries).paused].map(
      ([project, policy]) => ({type: 'pause', project, policy}) as const,
    ),
    ...entries.filter((entry) => entry.type === 'made').filter(({what}) => what === 'directory'),
  ];
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

/** This process was halted, and another one works with the journal by now. */
function lockLost(file: string): TransshipError {
  return new TransshipError('JOURNAL_WRITE_FAILED', `another run took over the journal ${file}`, {
    side: 'local',
    hint: 'this process was suspended for too long; wait until the other run ends, then run the command again',
  });
}

/** @throws TransshipError TRANSFER_UNFINISHED, JOURNAL_WRITE_FAILED */
async function putAside(file: string, unfinished: Unfinished): Promise<void> {
  if (unfinished.deleted.size > 0) throw transferUnfinished(unfinished, file);
  try {
    await rename(file, `${file}.old`);
  } catch (error) {
    throw new TransshipError(
      'JOURNAL_WRITE_FAILED',
      `cannot rename the journal ${file} of another plan: ${String(error)}`,
      {
        side: 'local',
        hint: 'move that file away, or name another one with --journal',
        cause: error,
      },
    );
  }
}
