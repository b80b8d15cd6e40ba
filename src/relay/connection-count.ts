/** So many connections are tried first. */
const FIRST = 4;
/** Where it helps, so many times as many connections are tried next: each trial costs time at a low rate. */
const STEP = 4;
/** A rate must grow by this factor when connections are added, or they did not help. */
const WORTH = 1.25;
/** What arrives so soon after a change is not counted, in ms: new connections are being made, and start slowly. */
const SETTLE_MS = 200;
/** How long a count is then watched before it is judged, in ms. */
const WATCH_MS = 200;

const BUSY = 0.5;

/** Whether who takes the bytes was busy with them for so much of the time that more connections are of no use. */
export function isBusy(busyMs: number, ms: number): boolean {
  return busyMs > ms * BUSY;
}

/**
 * Finds how many connections to read a blob over: takes more as long as the rate grows with them, then stays at the
 * last count that helped. A slower taker is served over one, until that turns out to be too few.
 */
export class ConnectionCount {
  readonly #limit: number;
  readonly #least: number;
  #count = FIRST;
  /** The count that was watched before, and its rate; undefined: none was. */
  #before: {readonly count: number; readonly rate: number} | undefined;
  #watchedFrom: number;
  #bytes = 0;
  #busyMs = 0;
  #settled = false;
  /** Bytes that came before any were taken, less what was taken since. */
  #backlog = 0;
  #isTaken = false;

  /**
   * @param now ms, of a clock that only goes forward
   * @param isOneTooFew whether that is known of one connection: the first count is the least then
   */
  constructor(limit: number, now: number, isOneTooFew = false) {
    this.#limit = limit;
    this.#least = isOneTooFew ? FIRST : 1;
    this.#watchedFrom = now + SETTLE_MS;
  }

  get count(): number {
    return Math.min(this.#count, this.#limit);
  }

  /** Tells that bytes have arrived, over whichever connection. */
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
   * Tells that whoever takes the bytes had so many for so many ms, just now. That it was busy is not said of the first,
   * with which an upload may have been opened, and of what came in that time.
   */
  taken(bytes: number, ms: number, now: number): void {
    if (!this.#isTaken || this.#backlog > 0) {
      this.#isTaken = true;
      this.#backlog -= bytes;
      if (this.#backlog <= 0 && now > this.#watchedFrom) this.#watchedFrom = now + SETTLE_MS;
    } else if (now >= this.#watchedFrom) this.#busyMs += Math.min(ms, now - this.#watchedFrom);
  }

  #judge(rate: number, isTakerBusy: boolean): void {
    // A taker that is busy with the first few needs no more of them, and most often no more than one.
    const helped = this.#before === undefined ? !isTakerBusy : rate >= this.#before.rate * WORTH;
    if (!helped) {
      // More cannot help while the taker pauses: that says nothing of them, and they are watched again.
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
