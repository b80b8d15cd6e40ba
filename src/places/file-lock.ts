import {randomUUID} from 'node:crypto';
import {lstat, mkdir, readdir, rename, rmdir, stat, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {hasCode, isMissing} from './file-error.ts';
import {type LockOwner, ownerName, readOwner, stateOf, thisProcess} from './lock-owner.ts';
import {FILE_MODE, removeFile} from './durable-file.ts';

/** Interval of an owner's heartbeat, in ms. */
const BEAT_MS = 1_000;
/**
 * An owner that cannot be looked up, since it runs on another machine or in another container, is considered dead after
 * this time without a heartbeat, in ms. It spans many heartbeats: one may be late on a busy machine, and network file
 * systems show a change only after some seconds (nfs(5), acregmin).
 */
export const STALE_MS = 15_000;
/** How long to wait before the next attempt, in ms. */
const POLL_MS = 15;

/** A monotonic clock of this process, in ms; clocks of other machines are never compared. */
export interface LockClock {
  now(): number;
  /** Rejects with the signal's reason. */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

const CLOCK: LockClock = {
  now: () => performance.now(),
  sleep: async (ms, signal) => await delay(ms, undefined, signal === undefined ? {} : {signal}),
};

/** How to wait for a lock. */
export interface LockOptions {
  /** How long to wait for an owner that is alive, in ms; 0: not at all. */
  readonly waitMs: number;
  /** Ends the wait. */
  readonly signal?: AbortSignal;
  /** Called once if it takes up to `STALE_MS` to determine whether the owner is alive. */
  readonly onDoubt?: (owner: string) => void;
  /** Default: the clock of this process. */
  readonly clock?: LockClock;
}

/** A lock while it is held; disposing of it releases it. */
export interface FileLock extends AsyncDisposable {
  /** False after another process took over the lock, because this one was suspended for longer than `STALE_MS`. */
  isHeld(): Promise<boolean>;
  /** The latest result of `isHeld`, updated with each heartbeat. */
  readonly isLost: boolean;
}

/** The lock, or a description of the live owner. */
export type LockAttempt =
  | {readonly kind: 'taken'; readonly lock: FileLock}
  | {readonly kind: 'busy'; readonly owner: string};

/**
 * Takes the lock at `path`, which at most one process holds, on one machine or on several that share a disk.
 *
 * The lock is a directory that contains one file, named after a random id of its owner. It is prepared elsewhere and
 * renamed into place, which succeeds only if there is no directory or an empty one (rename(2)). A process that finds
 * the owner dead removes the file by its name, which cannot affect the lock of a faster process, and then competes in
 * the next rename. So two processes never hold the lock at the same time, and a dead process does not keep it.
 *
 * Process ids repeat (in a container the next process is 1 again), so an owner is looked up by boot, pid namespace,
 * process id and start time. One that cannot be looked up is watched: it changes the time of its file once a second.
 * @throws the error of the file system
 */
export async function takeLock(path: string, options: LockOptions): Promise<LockAttempt> {
  const {waitMs, signal, onDoubt, clock = CLOCK} = options;
  const self = await thisProcess();
  const begun = clock.now();
  let watched: Watched | undefined;
  let isTold = false;
  for (;;) {
    signal?.throwIfAborted();
    const name = (await entriesOf(path))[0];
    if (name === undefined) {
      const id = randomUUID();
      if (await moveIn(path, id, self)) return {kind: 'taken', lock: new HeldLock(path, id)};
    } else {
      watched = await watch(join(path, name), watched, self, clock.now());
      if (watched?.state === 'dead') {
        await removeFile(watched.file);
        continue;
      }
      if (watched?.state === 'alive' && clock.now() - begun >= waitMs)
        return {kind: 'busy', owner: watched.owner};
      if (watched?.state === 'unknown' && !isTold) {
        isTold = true;
        onDoubt?.(watched.owner);
      }
    }
    await clock.sleep(POLL_MS, signal);
  }
}

class HeldLock implements FileLock {
  readonly #path: string;
  readonly #file: string;
  readonly #timer: NodeJS.Timeout;
  #beating: Promise<unknown> = Promise.resolve();
  #isLost = false;

  constructor(path: string, id: string) {
    this.#path = path;
    this.#file = join(path, id);
    this.#timer = setInterval(() => {
      this.#beating = this.#beat();
    }, BEAT_MS);
    this.#timer.unref();
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  async isHeld(): Promise<boolean> {
    await stat(this.#file).catch((error: unknown) => this.#failed(error));
    return !this.#isLost;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#beating;
    await removeFile(this.#file);
    await removeEmpty(this.#path);
  }

  /** Never rejects. Only a change of the time matters, so a wrong clock does no harm. */
  async #beat(): Promise<void> {
    const now = new Date();
    await utimes(this.#file, now, now).catch((error: unknown) => this.#failed(error));
  }

  /** A temporary failure of the file system does not release the lock. */
  #failed(error: unknown): void {
    this.#isLost ||= isMissing(error);
  }
}

/** Takes the lock; false: another process was faster. */
async function moveIn(path: string, id: string, self: LockOwner): Promise<boolean> {
  const prepared = `${path}.${id}`;
  const file = join(prepared, id);
  // Another user of the same group may have to remove it after this process died.
  await mkdir(prepared, 0o775);
  try {
    await writeFile(file, JSON.stringify(self), {flag: 'wx', mode: FILE_MODE});
    // Windows cannot rename to an existing directory, even if it is empty.
    await removeEmpty(path);
    await rename(prepared, path);
    return true;
  } catch (error) {
    await removeFile(file);
    await removeEmpty(prepared);
    // EPERM: on Windows, the directory exists.
    if (hasCode(error, 'ENOTEMPTY') || hasCode(error, 'EEXIST')) return false;
    if (hasCode(error, 'EPERM') && (await entriesOf(path)).length > 0) return false;
    throw error;
  }
}

async function removeEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory);
  } catch (error) {
    const isInUse = ['ENOTEMPTY', 'EEXIST'].some((code) => hasCode(error, code));
    if (!isInUse && !isMissing(error)) throw error;
  }
}

/**
 * The names in the directory of a lock. A link to another directory is refused, because a file there would be mistaken
 * for that of a dead owner, and removed.
 */
async function entriesOf(path: string): Promise<readonly string[]> {
  try {
    if ((await lstat(path)).isSymbolicLink()) throw new Error(`${path} is a link`);
    return await readdir(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

/** An observed owner, and the time since its last change. */
interface Watched {
  readonly file: string;
  readonly owner: string;
  readonly changedMs: number;
  /** By the clock of this process. */
  readonly since: number;
  readonly state: 'alive' | 'dead' | 'unknown';
}

/** Observes the owner of a lock; undefined: the lock was released. */
async function watch(
  file: string,
  before: Watched | undefined,
  self: LockOwner,
  now: number,
): Promise<Watched | undefined> {
  try {
    const {mtimeMs: changedMs} = await lstat(file);
    const isSame = before?.file === file;
    if (isSame && before.changedMs !== changedMs)
      return {...before, changedMs, since: now, state: 'alive'};
    if (isSame) return now - before.since >= STALE_MS ? {...before, state: 'dead'} : before;
    const owner = await readOwner(file);
    const state = await stateOf(owner, self);
    return {file, owner: ownerName(owner), changedMs, since: now, state};
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
