/**
 * How many connections read large blobs at once, over the whole run. Each relay has one connection of its own, which
 * needs no buffer; connections with buffers are lent while available, so that concurrent relays do not each open eight,
 * and memory is bounded.
 */
export class ReadConnections {
  readonly buffers: PartBuffers;
  readonly #limit: number;
  /** Whether a source serves ranges, by name, after the first request for one. */
  readonly #ranges = new Map<string, boolean>();
  #lent = 0;
  #relays = 0;

  /** @param partSize bytes of one ranged request */
  constructor(limit = 8, partSize?: number) {
    this.#limit = limit;
    this.buffers = new PartBuffers(partSize);
  }

  /** Maximum number of connections for one blob. */
  get limit(): number {
    return this.#limit;
  }

  /** Registers a relay of a large blob, with its own connection, until it leaves. */
  enter(): void {
    this.#relays += 1;
  }

  leave(): void {
    this.#relays -= 1;
  }

  /** How many connections can be lent: fewer with more relays, which read concurrently anyway. */
  get available(): number {
    // A relay with lent connections does not use its own.
    const own = Math.max(0, this.#relays - 1);
    return this.#limit - this.#lent - own;
  }

  /** Lends a connection, if one is available. */
  tryTake(): boolean {
    if (this.available <= 0) return false;
    this.#lent += 1;
    return true;
  }

  release(): void {
    this.#lent -= 1;
  }

  /** Whether this source answers a range request with the range, not with the whole blob; undefined: not known yet. */
  servesRanges(source: string): boolean | undefined {
    return this.#ranges.get(source);
  }

  learnRanges(source: string, areServed: boolean): void {
    this.#ranges.set(source, areServed);
  }
}

/**
 * Bytes of one ranged request: large compared with a round trip, and small enough for a buffer each. Parts that arrived
 * out of order are lost if the process is killed, which argues for small parts.
 */
const PART_SIZE = 5 * 1024 * 1024;

/**
 * Reusable buffers for parts: allocating memory for each part takes longer than reading it. There are never more
 * buffers than concurrent parts.
 */
export class PartBuffers {
  /** Bytes of a buffer, and of the requested ranges. */
  readonly size: number;
  readonly #free: Buffer[] = [];

  constructor(size = PART_SIZE) {
    this.size = size;
  }

  /** A buffer with undefined content. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.size);
  }

  /** Call only with a buffer that is no longer read or written. */
  giveBack(buffer: Buffer): void {
    this.#free.push(buffer);
  }
}

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

/** The part of the time from which on a consumer counts as busy. */
const BUSY = 0.5;

/** Whether the consumer was busy for so much of the time that more connections cannot help. Both times are in ms. */
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
   * @param now ms of a monotonic clock
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
   * Records that the consumer processed `bytes` in `ms`. The first call, during which an upload may have been opened,
   * and the bytes received in that time, do not count as busy time.
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
