interface Waiter {
  enter(): void;
  leave(reason: Error): void;
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
  }

  release(): void {
    this.#isHeld = false;
    this.#letIn();
  }

  /** Those who wait give up: they reject with the reason. */
  dismiss(reason: Error): void {
    for (const waiter of this.#waiting) waiter.leave(reason);
  }

  /**
   * Runs the task when there is a slot, which is free again when the task settles.
   * @throws the signal's reason, where it is aborted before the task is begun; that of `dismiss`; what the task throws
   */
  async run<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.#isFree()) this.#taken += 1;
    else await this.#turn(signal);
    try {
      return await task();
    } finally {
      this.#taken -= 1;
      this.#letIn();
    }
  }

  /** Resolves with a slot taken. */
  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => waiter.leave(signal.reason as Error);
      const waiter: Waiter = {
        enter: () => {
          signal.removeEventListener('abort', abort);
          resolve();
        },
        leave: (reason) => {
          this.#waiting.delete(waiter);
          signal.removeEventListener('abort', abort);
          reject(reason);
        },
      };
      this.#waiting.add(waiter);
      signal.addEventListener('abort', abort, {once: true});
    });
  }

  #letIn(): void {
    for (const waiter of this.#waiting) {
      if (!this.#isFree()) return;
      this.#waiting.delete(waiter);
      this.#taken += 1;
      waiter.enter();
    }
  }

  #isFree(): boolean {
    return !this.#isHeld && this.#taken < this.#count;
  }
}
