import type {LimitCode, RunResult} from '../model/outcome.ts';

/** Calls `act` once after `ms`, unless it is disposed of before. */
export type Timer = (ms: number, act: () => void) => Disposable;

export interface LimitSettings {
  /** Bytes that may be sent for blobs, those of failed attempts included. */
  readonly maxBytes?: number;
  /** How long the run may take, in ms. */
  readonly maxDuration?: number;
  /** Tags that a plan of copies may delete. */
  readonly maxDeletes?: number;
}

/** Ends a run at a limit, as the first signal does: nothing new is begun, and what is under way is finished. */
export class RunLimits implements Disposable {
  readonly #signal: AbortSignal;
  readonly #maxBytes: number;
  readonly #timer: Disposable | undefined;
  /** Tags that may still be deleted. */
  #deletes: number;
  readonly #stop = new AbortController();
  /** Bytes that were sent, and those that are about to be. */
  #bytes = 0;
  /** Bytes that are about to be sent, by blob. */
  readonly #announced = new Map<string, number>();
  #reached: LimitCode | undefined;
  #isLifted = false;
  /** The limit that was reached while it was lifted. */
  #missed: LimitCode | undefined;

  /** @param signal the first signal of the user: what it ended was not ended by a limit */
  constructor(
    {maxBytes = Infinity, maxDuration, maxDeletes = Infinity}: LimitSettings,
    signal: AbortSignal,
    timer: Timer = startTimer,
  ) {
    this.#signal = signal;
    this.#maxBytes = maxBytes;
    this.#deletes = maxDeletes;
    if (maxDuration !== undefined)
      this.#timer = timer(maxDuration, () => this.#reach('MAX_DURATION_REACHED'));
  }

  /** Aborted when a limit is reached. */
  get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  /** The limit that ended the run. */
  get reached(): LimitCode | undefined {
    return this.#reached;
  }

  /**
   * So many bytes of the blob are about to be sent: a chunk, or all of it. They count at once, so that the chunk which
   * reaches the limit is the last one that is begun. Those of an attempt that failed before they were sent count no more.
   */
  announce(blob: string, bytes: number): void {
    this.#bytes += bytes - this.#left(blob);
    this.#announced.set(blob, bytes);
    this.#check();
  }

  sent(blob: string, bytes: number): void {
    const announced = this.#left(blob);
    const left = Math.max(0, announced - bytes);
    this.#bytes += bytes - (announced - left);
    this.#announced.set(blob, left);
    this.#check();
  }

  /** Nothing more of the blob is sent. */
  ended(blob: string): void {
    this.#bytes -= this.#left(blob);
    this.#announced.delete(blob);
  }

  /** So many tags are about to be deleted. @returns false: that is more than are left, and ends the run */
  takeDeletes(tags: number): boolean {
    if (tags > this.#deletes) {
      this.#reach('MAX_DELETES_REACHED');
      return false;
    }
    this.#deletes -= tags;
    return true;
  }

  /** Until `restore` the run must not be ended by a limit: it would leave things in a state that is not safe. */
  lift(): void {
    this.#isLifted = true;
  }

  /** Things are safe again: a limit that was reached since `lift` ends the run now. */
  restore(): void {
    this.#isLifted = false;
    if (this.#missed !== undefined) this.#reach(this.#missed);
  }

  /** The result of the run, with the limit that ended it. */
  mark(result: RunResult): RunResult {
    if (result.result !== 'interrupted' || this.#reached === undefined) return result;
    return {...result, limit: this.#reached};
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  #left(blob: string): number {
    return this.#announced.get(blob) ?? 0;
  }

  #check(): void {
    if (this.#bytes >= this.#maxBytes) this.#reach('MAX_BYTES_REACHED');
  }

  #reach(limit: LimitCode): void {
    if (this.#isLifted) this.#missed ??= limit;
    if (this.#isLifted || this.#reached !== undefined || this.#signal.aborted) return;
    this.#reached = limit;
    this.#stop.abort();
  }
}

/** Node's timers take no longer time, in ms. */
const LONGEST_TIMER = 2 ** 31 - 1;

function startTimer(ms: number, act: () => void): Disposable {
  let timer: NodeJS.Timeout;
  const wait = (left: number): void => {
    const next = left - LONGEST_TIMER;
    timer = setTimeout(() => (next > 0 ? wait(next) : act()), Math.min(left, LONGEST_TIMER));
  };
  wait(ms);
  return {[Symbol.dispose]: () => clearTimeout(timer)};
}
