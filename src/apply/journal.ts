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

/**
 * What a run remembers across processes. Completed work is always observed at the destination; the journal contains the
 * rest.
 */
export interface Journal extends AsyncDisposable {
  /** Whether it has entries of an earlier run. */
  readonly continues: boolean;
  /** Changes by earlier runs and this one that were neither completed nor rolled back. */
  readonly unfinished: Unfinished;
  /** The upload of this blob that an earlier run left. */
  savedUpload(digest: Digest, to: string): SavedUpload | undefined;
  /** The entries about transfers by earlier runs and this one, in order. */
  readonly transfer: readonly TransferEntry[];
  /** Records something that must not be lost: resolves when it is on disk. */
  append(entry: JournalEntry): Promise<void>;
  /** Records something for information: a killed run may have done slightly more than its journal contains. */
  note(entry: JournalEntry): void;
  /** Takes times from an event of the run, for the entries that follow. */
  watch(event: RunEvent): void;
  end(result: RunEnd): Promise<void>;
}

/** The journal of a run that changes nothing. */
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
  /** Transfers only: recorded so that later plans can find the transfer. */
  readonly transfer?: JournaledTransfer;
  /** Transfers only: the locks of the projects on this machine, which all plans and journals share. */
  readonly projectLocks?: readonly RunLock[];
  /**
   * Resume uploads of another plan for the same work. A killed copy makes a new plan when it is run again, which
   * differs because of what is already at the destination.
   */
  readonly anyPlan?: boolean;
  /** The current time, for people who read the journal. */
  readonly now: () => Date;
  /** Keeps secrets out of the file. */
  readonly redactor: Redactor;
  /** Ends the wait for a lock whose owner cannot be determined. */
  readonly signal?: AbortSignal;
  /** Called when that wait begins. */
  readonly notice?: (code: string, message: string) => void;
}

/**
 * Opens or creates the journal of a plan. The journal of another plan is renamed to `FILE.old`, unless images that it
 * deleted are still only at a donor. Its entries about incomplete uploads, disabled cleanup policies and directories of
 * the donor remain valid.
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
 * The entry as it may be written to a file. Undefined: an upload whose URL grants access (a presigned URL, or one with
 * a token) is kept in memory only; after a kill, its blob is sent from the beginning.
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
 * The valid entries of another plan's journal: disabled cleanup policies, which still have to be restored, and
 * directories that were created for the donor. Its donor project is not among them, because a review of this plan would
 * not show that it is deleted.
 */
function carriedOverFrom(entries: readonly JournalEntry[]): readonly TransferEntry[] {
  return [
    ...[...unfinishedIn(entries).paused].map(
      ([project, policy]) => ({type: 'pause', project, policy}) as const,
    ),
    ...entries.filter((entry) => entry.type === 'made').filter(({what}) => what === 'directory'),
  ];
}

/** Uploads that were started and not completed, by `uploadKey`. */
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

/** This process was suspended, and another one uses the journal now. */
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
