/** What a connection must give to be kept: so many bytes in so many ms of waiting for it. */
export interface SlowestPace {
  readonly bytes: number;
  readonly ms: number;
}

/** A connection at that pace takes a day for 86 MiB: another one can only be better. */
const SLOWEST: SlowestPace = {bytes: 60 * 1024, ms: 60_000};

/**
 * Tells whether a connection that never quite stalls is worth keeping. Only the time that is spent waiting for it counts:
 * a reader that takes its time is no fault of the source.
 */
export class Pace {
  readonly #slowest: SlowestPace;
  readonly #now: () => number;
  #waitingSince: number;
  #waitedMs = 0;
  #bytes = 0;

  /** @param now ms, of a clock that only goes forward */
  constructor(slowest: SlowestPace = SLOWEST, now: () => number = () => performance.now()) {
    this.#slowest = slowest;
    this.#now = now;
    this.#waitingSince = now();
  }

  /** The next bytes are waited for from now on. */
  waits(): void {
    this.#waitingSince = this.#now();
  }

  /**
   * Bytes have come.
   * @returns whether they came too slowly, over the latest period
   */
  isTooSlow(bytes: number): boolean {
    this.#waitedMs += this.#now() - this.#waitingSince;
    this.#bytes += bytes;
    if (this.#waitedMs < this.#slowest.ms) return false;
    // The rate, not the bytes: what comes at once after a long silence is not fast.
    const isSlow = this.#bytes * this.#slowest.ms < this.#slowest.bytes * this.#waitedMs;
    this.#waitedMs = 0;
    this.#bytes = 0;
    return isSlow;
  }
}
