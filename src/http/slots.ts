import {interrupted} from '../model/interrupted.ts';
import type {Call} from '../model/port.ts';
import {onAbort} from './on-abort.ts';

interface Waiter {
  enter(): void;
  /** Leaves where the slots are held and its run is to stop. */
  reconsider(): void;
}

/** A number of slots, and who waits for one: first come, first served. Not p-queue, whose events cost more than a small request. */
export class Slots {
  #count: number;
  #taken = 0;
  #isHeld = false;
  readonly #waiting = new Set<Waiter>();

  constructor(count: number) {
    this.#count = count;
  }

  get taken(): number {
    return this.#taken;
  }

  /** With fewer than are taken, nobody is let in until enough are free again. */
  set count(count: number) {
    this.#count = count;
    this.#letIn();
  }

  /** Lets nobody in until `release`. */
  hold(): void {
    this.#isHeld = true;
    for (const waiter of this.#waiting) waiter.reconsider();
  }

  release(): void {
    this.#isHeld = false;
    this.#letIn();
  }

  /**
   * Runs the task when there is a slot, which is free again when the task settles.
   * @throws the signal's reason, where it is aborted before the task is begun; TransshipError INTERRUPTED, where the run is
   *   to stop and the slots are held; what the task throws
   */
  async run<T>(call: Call, task: () => Promise<T>): Promise<T> {
    call.signal.throwIfAborted();
    if (this.#isFree()) this.#taken += 1;
    else await this.#turn(call);
    try {
      return await task();
    } finally {
      this.#taken -= 1;
      this.#letIn();
    }
  }

  /** Resolves with a slot taken. */
  #turn({signal, stopping}: Call): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => end(() => reject(signal.reason as Error));
      const reconsider = (): void => {
        if (this.#isHeld && stopping?.aborted === true) end(() => reject(interrupted()));
      };
      const waiter = {enter: () => end(resolve), reconsider};
      const end = (settle: () => void): void => {
        this.#waiting.delete(waiter);
        forgetSignal();
        forgetStopping?.();
        settle();
      };
      this.#waiting.add(waiter);
      const forgetSignal = onAbort(signal, abort);
      const forgetStopping =
        stopping?.aborted === false ? onAbort(stopping, reconsider) : undefined;
      reconsider();
    });
  }

  #letIn(): void {
    for (const waiter of this.#waiting) {
      if (!this.#isFree()) return;
      this.#taken += 1;
      waiter.enter();
    }
  }

  #isFree(): boolean {
    return !this.#isHeld && this.#taken < this.#count;
  }
}
