import PQueue from 'p-queue';
import {onAbort} from './abort.ts';
import {interrupted} from '../model/error.ts';
import type {Call} from '../model/port.ts';

/**
 * The queues of a host. `small`: requests with small bodies. `read`: opening a large response body. `write`: sending a
 * large request body. A write may wait for a read of the same host, and both for small requests, but never the other
 * way round; each lane has at least one slot of its own, so no lane can block another permanently.
 */
export type Lane = 'small' | 'read' | 'write';

const FLOOR = 1;
const START = 32;
const CEILING = 64;

/** The first pause after a 429 without `Retry-After`, as a multiple of the policy's base pause: 1 s by default. */
const BACK_OFF = 4;
/** The longest such pause, in ms. */
const LONGEST_BACK_OFF_MS = 30_000;

/**
 * Limits the concurrent requests to one host. The limit adapts: it doubles with each round of successful responses,
 * halves when the host reports overload, and grows by one a round from there (as TCP does: RFC 5681, section 3.1). A
 * pause that the host requests or needs stops all lanes.
 */
export class Throttle implements Disposable {
  readonly #lanes: Readonly<Record<Lane, PQueue>>;
  /** Callbacks of waiting tasks, each of which removes its task from the queue if it must not wait any longer. */
  readonly #waiting = new Set<() => void>();
  #limit = START;
  /** Below it, the limit grows by one with each successful response; above it, with each round of them. */
  #threshold = CEILING;
  /** Successful responses since the last change of the limit. */
  #good = 0;
  /** Responses to requests sent before the limit was halved say nothing about the new limit. */
  #ignore = 0;
  #heldUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #baseMs: number;
  /** Pauses after a 429 without `Retry-After`, less the successful responses since then. */
  #backOffs = 0;
  /** When the host was first overloaded since its last successful response, in ms since the epoch. */
  #overloadedSince: number | undefined;
  /**
   * When the host first answered 429 without `Retry-After`, since its last `Retry-After` or successful response, in ms
   * since the epoch.
   */
  #unannouncedSince: number | undefined;

  /** @param baseMs the base of pauses that no host requests, in ms */
  constructor(baseMs = 250) {
    this.#baseMs = baseMs;
    this.#lanes = {small: new PQueue(), read: new PQueue(), write: new PQueue()};
    this.#apply();
  }

  /** Requests that may be under way in the `small` lane; the other lanes have half of it each. */
  get limit(): number {
    return this.#limit;
  }

  /** Whether all lanes are paused. */
  get isHeld(): boolean {
    return this.#heldUntil > Date.now();
  }

  /** Whether no request is under way or waits, and the host asked for no pause that lasts. */
  get isIdle(): boolean {
    const isFree = Object.values(this.#lanes).every(({size, pending}) => size + pending === 0);
    return isFree && !this.isHeld;
  }

  /** How long the host has been limiting requests without a successful response, in ms; 0: it is not. */
  get overloadedMs(): number {
    return this.#overloadedSince === undefined ? 0 : Date.now() - this.#overloadedSince;
  }

  /** How long the host has answered every request with 429 without `Retry-After`, in ms; 0: it has not. */
  get unannouncedMs(): number {
    return this.#unannouncedSince === undefined ? 0 : Date.now() - this.#unannouncedSince;
  }

  /**
   * Runs the task when its lane has a free slot and the host is not paused, in the order of calls. The slot is released
   * when the task settles.
   * @throws the signal's reason if it is aborted before the task starts; TransshipError INTERRUPTED if the run is
   *   stopping and the host is paused; what the task throws
   */
  async run<T>(lane: Lane, call: Call, task: () => Promise<T>): Promise<T> {
    call.signal.throwIfAborted();
    const queue = this.#lanes[lane];
    const isFree = !queue.isPaused && queue.size === 0 && queue.pending < queue.concurrency;
    return isFree ? await queue.add(task) : await this.#runLater(queue, call, task);
  }

  async #runLater<T>(queue: PQueue, call: Call, task: () => Promise<T>): Promise<T> {
    const {signal, stopping} = call;
    const {promise: left, reject} = Promise.withResolvers<never>();
    const leave = (reason: unknown): void => {
      stopWaiting();
      reject(reason);
    };
    const leaveIfHeld = (): void => {
      if (queue.isPaused && stopping?.aborted === true) leave(interrupted());
    };
    const forget = [onAbort(signal, () => leave(signal.reason))];
    if (stopping?.aborted === false) forget.push(onAbort(stopping, leaveIfHeld));
    const stopWaiting = (): void => {
      this.#waiting.delete(leaveIfHeld);
      for (const each of forget) each();
    };
    this.#waiting.add(leaveIfHeld);
    const begin = (): Promise<T> => {
      if (!this.#waiting.has(leaveIfHeld)) return left;
      // From here on, the task itself observes its signal.
      stopWaiting();
      return task();
    };
    leaveIfHeld();
    return await Promise.race([queue.add(begin), left]);
  }

  /** Records a successful response. */
  succeeded(): void {
    this.#overloadedSince = undefined;
    this.#unannouncedSince = undefined;
    this.#backOffs = Math.max(0, this.#backOffs - 1);
    if (this.#ignore > 0) this.#ignore--;
    if (this.#limit >= CEILING) return;
    this.#good++;
    if (this.#limit >= this.#threshold && this.#good < this.#limit) return;
    this.#good = 0;
    this.#limit++;
    this.#apply();
  }

  /**
   * Records that the host is overloaded: 429, 503, or a response timeout.
   * @param retryAfterMs the pause that the host requests
   */
  overloaded(retryAfterMs = 0): void {
    this.#overloadedSince ??= Date.now();
    if (retryAfterMs > 0) this.#unannouncedSince = undefined;
    this.#hold(retryAfterMs);
    if (this.#ignore > 0) {
      this.#ignore--;
      return;
    }
    const {small, read, write} = this.#lanes;
    this.#ignore = Math.max(0, small.pending + read.pending + write.pending - 1);
    this.#limit = Math.max(FLOOR, Math.floor(this.#limit / 2));
    this.#threshold = this.#limit;
    this.#good = 0;
    this.#apply();
  }

  /**
   * Records a 429 without `Retry-After`: all lanes are paused, longer each time. Responses to requests that were
   * already in flight do not lengthen the pause.
   * @returns the pause, in ms
   */
  refused(): number {
    const backOffMs = Math.min(LONGEST_BACK_OFF_MS, this.#baseMs * BACK_OFF * 2 ** this.#backOffs);
    const since = this.#unannouncedSince ?? Date.now();
    if (!this.isHeld) this.#backOffs++;
    this.overloaded(this.isHeld ? 0 : backOffMs);
    this.#unannouncedSince = since;
    return Math.max(0, this.#heldUntil - Date.now());
  }

  /** Ends all pauses: waiting tasks start, and fail, since their connections are closed. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#release();
  }

  #hold(ms: number): void {
    const until = Date.now() + ms;
    if (ms <= 0 || until <= this.#heldUntil) return;
    this.#heldUntil = until;
    clearTimeout(this.#timer);
    for (const lane of Object.values(this.#lanes)) lane.pause();
    for (const leaveIfHeld of this.#waiting) leaveIfHeld();
    this.#timer = setTimeout(() => this.#release(), ms);
  }

  #release(): void {
    for (const lane of Object.values(this.#lanes)) lane.start();
  }

  /** If more slots are taken than the limit allows, no task starts until enough are released. */
  #apply(): void {
    const half = Math.max(FLOOR, Math.ceil(this.#limit / 2));
    this.#lanes.small.concurrency = this.#limit;
    this.#lanes.read.concurrency = half;
    this.#lanes.write.concurrency = half;
  }
}
