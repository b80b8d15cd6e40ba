import {TransshipError} from '../model/error.ts';
import {type FileLock, STALE_MS, takeLock} from '../places/file-lock.ts';
import type {JournalOptions} from './journal.ts';

/** A lock of a run. */
export interface RunLock {
  readonly path: string;
  /** The locked object, for messages: "the journal FILE". */
  readonly what: string;
}

/**
 * Locks the journal, and the projects of a transfer, whichever plan another process uses.
 * @throws TransshipError JOURNAL_BUSY, JOURNAL_WRITE_FAILED
 */
export async function takeRunLocks(options: JournalOptions): Promise<FileLock> {
  const {file, projectLocks = []} = options;
  const locks: FileLock[] = [];
  const held: FileLock = {
    get isLost() {
      return locks.some(({isLost}) => isLost);
    },
    isHeld: async () => !(await Promise.all(locks.map((lock) => lock.isHeld()))).includes(false),
    [Symbol.asyncDispose]: async () => {
      for (const lock of locks.toReversed()) await lock[Symbol.asyncDispose]();
    },
  };
  try {
    for (const lock of projectLocks) locks.push(await takeOne(lock, options));
    locks.push(await takeOne({path: `${file}.lock`, what: `the journal ${file}`}, options));
    return held;
  } catch (error) {
    await held[Symbol.asyncDispose]();
    throw error;
  }
}

async function takeOne(
  {path, what}: RunLock,
  {file, signal, notice}: JournalOptions,
): Promise<FileLock> {
  const seconds = Math.ceil(STALE_MS / 1000);
  try {
    const attempt = await takeLock(path, {
      waitMs: 0,
      ...(signal === undefined ? {} : {signal}),
      onDoubt: (owner) =>
        notice?.(
          'LOCK_WATCHED',
          `${what} is locked by ${owner}; checking for up to ${seconds} s whether it still runs`,
        ),
    });
    if (attempt.kind === 'taken') return attempt.lock;
    throw new TransshipError(
      'JOURNAL_BUSY',
      `${what} is in use by another run (${attempt.owner})`,
      {
        side: 'local',
        hint: 'wait until that run ends, then run the command again; if that run was killed, its lock expires',
        retry: true,
      },
    );
  } catch (error) {
    if (error instanceof TransshipError || signal?.aborted === true) throw error;
    throw new TransshipError('JOURNAL_WRITE_FAILED', `cannot lock ${file}: ${String(error)}`, {
      side: 'local',
      hint: `name a file in a writable directory with --journal, or delete ${path} if it is in the way`,
      cause: error,
    });
  }
}
