import {constants, copyFile, readFile, rename, writeFile} from 'node:fs/promises';
import {TransshipError} from '../model/error.ts';
import {hasCode} from '../places/file-error.ts';
import {removeFile} from '../places/remove-file.ts';

/** The processes of this machine, as far as a lock needs them. */
export interface Processes {
  /** Our own process id. */
  readonly pid: number;
  readonly isRunning: (pid: number) => boolean;
}

/**
 * Keeps a second process from the same journal. The lock is a file beside it with the process id; one that a killed
 * process left behind is taken over. Two machines that share a disk are not told apart: give each its own journal.
 * @throws TransshipError JOURNAL_BUSY, JOURNAL_WRITE_FAILED
 */
export async function lockJournal(journal: string, processes: Processes): Promise<AsyncDisposable> {
  const file = `${journal}.lock`;
  for (let tries = 0; ; tries += 1) {
    try {
      await writeFile(file, String(processes.pid), {flag: 'wx', mode: 0o600});
      return {[Symbol.asyncDispose]: () => removeFile(file)};
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw unwritable(file, error);
      const owner = await readOwner(file);
      if (tries > 2 || (owner !== undefined && processes.isRunning(owner)))
        throw busy(journal, owner);
      await removeStale(file, owner, processes.pid);
    }
  }
}

/**
 * Moves a dead lock out of the way. Two may see the same dead lock; the second would move the new one of the first, so
 * what was moved is looked at again, and put back if it is not what was seen.
 */
async function removeStale(file: string, seen: number | undefined, pid: number): Promise<void> {
  const aside = `${file}.${pid}.stale`;
  try {
    await rename(file, aside);
    if ((await readOwner(aside)) !== seen) await copyFile(aside, file, constants.COPYFILE_EXCL);
  } catch (error) {
    if (!hasCode(error, 'ENOENT') && !hasCode(error, 'EEXIST')) throw unwritable(file, error);
  } finally {
    await removeFile(aside);
  }
}

/** Undefined: the lock went away meanwhile, or its writer was killed before it wrote. */
async function readOwner(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const pid = Number.parseInt(text, 10);
  return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
}

function busy(journal: string, owner: number | undefined): TransshipError {
  return new TransshipError(
    'JOURNAL_BUSY',
    `process ${owner ?? '?'} is applying with the journal ${journal}`,
    {
      side: 'local',
      hint: 'wait for it to end, or name another file with --journal',
      retry: true,
    },
  );
}

function unwritable(file: string, cause: unknown): TransshipError {
  return new TransshipError('JOURNAL_WRITE_FAILED', `${file} cannot be written: ${String(cause)}`, {
    side: 'local',
    hint: 'name a file in a writable folder with --journal',
    cause,
  });
}
