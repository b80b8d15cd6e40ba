import PQueue from 'p-queue';
import {interrupted} from '../model/interrupted.ts';
import type {Call} from '../model/port.ts';

/** A number of slots, and who waits for one: first come, first served. */
export class Slots {
  readonly #queue: PQueue;
  /** Told when the slots are held: who waits and is to stop leaves then. */
  readonly #waiting = new Set<() => void>();

  constructor(count: number) {
    this.#queue = new PQueue({concurrency: count});
  }

  get taken(): number {
    return this.#queue.pending;
  }

  /** With fewer than are taken, nobody is let in until enough are free again. */
  set count(count: number) {
    this.#queue.concurrency = count;
  }

  /** Lets nobody in until `release`. */
  hold(): void {
    this.#queue.pause();
    for (const reconsider of this.#waiting) reconsider();
  }

  release(): void {
    this.#queue.start();
  }

  /**
   * Runs the task when there is a slot, which is free again when the task settles.
   * @throws the signal's reason, where it is aborted before the task is begun; TransshipError INTERRUPTED, where the run is
   *   to stop and the slots are held; what the task throws
   */
  async run<T>({signal, stopping}: Call, task: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const leaving = new AbortController();
    const abort = (): void => leaving.abort(signal.reason);
    const reconsider = (): void => {
      if (this.#queue.isPaused && stopping?.aborted === true) leaving.abort(interrupted());
    };
    reconsider();
    signal.addEventListener('abort', abort);
    stopping?.addEventListener('abort', reconsider);
    this.#waiting.add(reconsider);
    const begin = (): void => {
      signal.removeEventListener('abort', abort);
      stopping?.removeEventListener('abort', reconsider);
      this.#waiting.delete(reconsider);
    };
    try {
      return await this.#queue.add(
        () => {
          // From here on the task itself heeds its signal.
          begin();
          return task();
        },
        {signal: leaving.signal},
      );
    } finally {
      begin();
    }
  }
}
