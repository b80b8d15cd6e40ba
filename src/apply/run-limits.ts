import type {LimitCode, RunResult} from '../model/outcome.ts';

/** Calls `act` once after `ms`, unless it is disposed before. */
export type Timer = (ms: number, act: () => void) => Disposable;

export interface LimitSettings {
  /** Maximum bytes sent for blobs, including failed attempts. */
  readonly maxBytes?: number;
  /** Maximum duration of the run, in ms. */
  readonly maxDuration?: number;
  /** Maximum number of tags that a plan of copies may delete. */
  readonly maxDeletes?: number;
}

/** Ends a run at a limit as the first signal does: no new work is started, and work in progress is completed. */
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
  /** The limit that was reached during the suspension. */
  #missed: LimitCode | undefined;

  /** @param signal the first signal of the user; after it, no limit is reported */
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
   * Records that bytes of the blob are about to be sent: a chunk, or the whole blob. They count immediately, so that no
   * further chunk is started after the one that reaches the limit. A previous announcement for the blob is replaced.
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

  /** Records that the blob is complete. */
  ended(blob: string): void {
    this.#bytes -= this.#left(blob);
    this.#announced.delete(blob);
  }

  /** Records that tags are about to be deleted. @returns false if that exceeds the limit, which ends the run */
  takeDeletes(tags: number): boolean {
    if (tags > this.#deletes) {
      this.#reach('MAX_DELETES_REACHED');
      return false;
    }
    this.#deletes -= tags;
    return true;
  }

  /** Suspends the limits until `restore`, while ending the run would leave an unsafe state. */
  lift(): void {
    this.#isLifted = true;
  }

  /** Ends the suspension. A limit that was reached meanwhile ends the run now. */
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

/** Maximum delay of Node's timers, in ms. */
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
