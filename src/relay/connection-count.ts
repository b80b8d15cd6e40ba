/** The number of connections to try first. */
const FIRST = 4;
/** The factor for the next trial if more connections helped. Each trial costs time at a low rate. */
const STEP = 4;
/** Added connections help if the rate grows by at least this factor. */
const WORTH = 1.25;
/** Time after a change that is not measured, in ms: new connections are opened and start slowly. */
const SETTLE_MS = 200;
/** How long a count is then measured, in ms. */
const WATCH_MS = 200;

const BUSY = 0.5;

/** Whether the consumer was busy for so much of the time that more connections cannot help. */
export function isBusy(busyMs: number, ms: number): boolean {
  return busyMs > ms * BUSY;
}

/**
 * Determines how many connections to read a blob over: adds connections as long as the rate grows, then keeps the last
 * count that helped. A slow consumer is served over one connection until that is too few.
 */
export class ConnectionCount {
  readonly #limit: number;
  readonly #least: number;
  #count = FIRST;
  /** The previously measured count and its rate; undefined: none. */
  #before: {readonly count: number; readonly rate: number} | undefined;
  #watchedFrom: number;
  #bytes = 0;
  #busyMs = 0;
  #settled = false;
  /** Bytes received before any were consumed, less the bytes consumed since then. */
  #backlog = 0;
  #isTaken = false;

  /**
   * @param now ms, of a clock that only goes forward
   * @param isOneTooFew whether one connection is known to be too few: the first count is then the minimum
   */
  constructor(limit: number, now: number, isOneTooFew = false) {
    this.#limit = limit;
    this.#least = isOneTooFew ? FIRST : 1;
    this.#watchedFrom = now + SETTLE_MS;
  }

  get count(): number {
    return Math.min(this.#count, this.#limit);
  }

  /** Records received bytes, of any connection. */
  arrived(bytes: number, now: number): void {
    if (!this.#isTaken) this.#backlog += bytes;
    if (this.#settled || this.#backlog > 0 || now < this.#watchedFrom) return;
    this.#bytes += bytes;
    const ms = now - this.#watchedFrom;
    if (ms < WATCH_MS) return;
    this.#judge(this.#bytes / ms, isBusy(this.#busyMs, ms));
    this.#watchedFrom = now + SETTLE_MS;
    this.#bytes = 0;
    this.#busyMs = 0;
  }

  /**
   * Records that the consumer just processed this many bytes in this many ms. That it was busy is not said of the
   * first, with which an upload may have been opened, and of what came in that time.
   */
  taken(bytes: number, ms: number, now: number): void {
    if (!this.#isTaken || this.#backlog > 0) {
      this.#isTaken = true;
      this.#backlog -= bytes;
      if (this.#backlog <= 0 && now > this.#watchedFrom) this.#watchedFrom = now + SETTLE_MS;
    } else if (now >= this.#watchedFrom) this.#busyMs += Math.min(ms, now - this.#watchedFrom);
  }

  #judge(rate: number, isTakerBusy: boolean): void {
    // A consumer that is busy with the first few connections needs no more, and usually not more than one.
    const helped = this.#before === undefined ? !isTakerBusy : rate >= this.#before.rate * WORTH;
    if (!helped) {
      // While the consumer pauses, more connections cannot help: the measurement is invalid and repeated.
      if (this.#before && isTakerBusy) return;
      this.#count = this.#before?.count ?? this.#least;
      this.#settled = true;
      return;
    }
    this.#before = {count: this.#count, rate};
    if (isTakerBusy || this.#count >= this.#limit) this.#settled = true;
    else this.#count = Math.min(this.#count * STEP, this.#limit);
  }
}
