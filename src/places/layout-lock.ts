import {randomUUID} from 'node:crypto';
import {link, open, readFile, rename, stat} from 'node:fs/promises';
import {setTimeout as delay} from 'node:timers/promises';
import {TransshipError} from '../model/error.ts';
import {hasCode, isMissing} from './file-error.ts';
import {removeFile} from './remove-file.ts';

/** A lock is held for some milliseconds; one that is this old, in ms, was left by a process that died. */
const STALE_AFTER = 10_000;
const WAIT_LIMIT = 60_000;
const POLL = 15;
/** Looking whether it is an old one takes some calls: done at first and then every so many polls. */
const POLLS_PER_LOOK = 50;

/** The lock while it is held. */
export interface Lock extends AsyncDisposable {
  /** False once somebody took the lock away, because we held it for too long. */
  isHeld(): Promise<boolean>;
}

/**
 * Takes the lock file at `path`: at most one process on one or many machines has it. It holds no process id, since the
 * other process may run in another container.
 * @throws TransshipError FILE_WRITE_FAILED where others hold it for too long
 */
export async function takeLock(path: string): Promise<Lock> {
  const token = randomUUID();
  const limit = AbortSignal.timeout(WAIT_LIMIT);
  for (let polls = 0; !(await create(path, token)); polls += 1) {
    if (limit.aborted) throw busy(path);
    if (polls % POLLS_PER_LOOK === 0) await removeStale(path);
    await delay(POLL);
  }
  const isHeld = async (): Promise<boolean> => (await content(path)) === token;
  return {
    isHeld,
    async [Symbol.asyncDispose]() {
      if (await isHeld()) await removeFile(path);
    },
  };
}

async function create(path: string, token: string): Promise<boolean> {
  try {
    await using file = await open(path, 'wx');
    await file.writeFile(token);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/**
 * Moves an old lock out of the way. Two may see the same old lock; the second would move the new one of the first, so
 * what was moved is compared with what was seen, and put back.
 */
async function removeStale(path: string): Promise<void> {
  const seen = await content(path);
  if (seen === undefined || !(await isStale(path))) return;
  const aside = `${path}.${randomUUID()}.stale`;
  try {
    await rename(path, aside);
    if ((await content(aside)) !== seen) await link(aside, path);
  } catch (error) {
    if (!isMissing(error) && !hasCode(error, 'EEXIST')) throw error;
  } finally {
    await removeFile(aside);
  }
}

async function isStale(path: string): Promise<boolean> {
  // A file made now tells the time of the file system, which need not be that of this machine.
  const probe = `${path}.${randomUUID()}.now`;
  try {
    await using file = await open(probe, 'wx');
    const [now, lock] = [await file.stat(), await stat(path)];
    return now.mtimeMs - lock.mtimeMs > STALE_AFTER;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  } finally {
    await removeFile(probe);
  }
}

async function content(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function busy(path: string): TransshipError {
  return new TransshipError('FILE_WRITE_FAILED', `another process holds ${path}`, {
    side: 'local',
    hint: 'wait for the other run to end; if there is none, delete that file',
    retry: true,
  });
}
