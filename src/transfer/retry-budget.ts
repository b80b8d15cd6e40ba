import {setTimeout as delay} from 'node:timers/promises';
import {LONGEST_HOLD_MS} from '../http/retry.ts';
import {asTransshipError, type Side, type TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';
import {throwIfStopping} from '../model/interrupted.ts';

/** How failures are answered; all times in ms. */
export interface RetryPolicy {
  /** Failures in a row, without any progress between them, after which the last one is final. */
  readonly limit: number;
  /** The first wait is at most this long; it doubles with each failure. */
  readonly baseMs: number;
  readonly capMs: number;
  /** A host that wants to be left alone for longer than this is not waited for. */
  readonly longestMs: number;
  /** In [0, 1): full jitter, so that workers that failed together do not come back together. */
  readonly random: () => number;
}

export const DEFAULT_RETRY: RetryPolicy = {
  limit: 6,
  baseMs: 250,
  capMs: 20_000,
  longestMs: LONGEST_HOLD_MS,
  random: Math.random,
};

/** So much of what is to be read is progress, in bytes: a byte for each failure would be no end of failures. */
const PROGRESS = 64 * 1024;
/** Or this part of it, where it is less. */
const PROGRESS_PART = 1 / 128;

/** Told before each wait. */
export type OnRetry = (attempt: number, delayMs: number, error: TransshipError) => void;

/**
 * Counts the failures of one piece of work. It refills when the work got on: a transfer that moves, however often it
 * is cut, is not given up.
 */
export class RetryBudget {
  readonly #policy: RetryPolicy;
  readonly #onRetry: OnRetry;
  readonly #stopping: AbortSignal | undefined;
  #failures = 0;
  /** Bytes since the last failure. */
  #arrived = 0;

  /** @param stopping ends a wait, and with it the work: a host may want to be left alone for a quarter of an hour */
  constructor(policy: RetryPolicy, onRetry: OnRetry, stopping?: AbortSignal) {
    this.#policy = policy;
    this.#onRetry = onRetry;
    this.#stopping = stopping;
  }

  /** Failures since the work last got on. */
  get failures(): number {
    return this.#failures;
  }

  progressed(): void {
    this.#failures = 0;
  }

  /**
   * Tells of bytes, which are progress when they are enough since the last failure.
   * @param whole bytes of the whole piece of work
   */
  arrived(bytes: number, whole: number): void {
    this.#arrived += bytes;
    if (this.#arrived >= Math.min(PROGRESS, whole * PROGRESS_PART)) this.progressed();
  }

  /**
   * Waits until the work may be tried again.
   * @throws what failed, as TransshipError, where another try cannot help or the budget is spent; the reason of the
   *   call's signal; INTERRUPTED where the run is to end
   */
  async spend(failure: unknown, side: Side, {signal}: Call): Promise<void> {
    signal.throwIfAborted();
    const error = asTransshipError(failure, side);
    this.#failures += 1;
    this.#arrived = 0;
    const {limit, baseMs, capMs, longestMs, random} = this.#policy;
    const {retryAfterMs = 0} = error;
    if (!error.retry || this.#failures >= limit || retryAfterMs > longestMs) throw error;
    const jittered = random() * Math.min(capMs, baseMs * 2 ** (this.#failures - 1));
    // Added, so that those who were told the same time do not wake together.
    const delayMs = retryAfterMs + jittered;
    this.#onRetry(this.#failures, Math.round(delayMs), error);
    const stopping = this.#stopping;
    const waiting = stopping ? AbortSignal.any([signal, stopping]) : signal;
    await delay(delayMs, undefined, {signal: waiting}).catch((cause: unknown) => {
      signal.throwIfAborted();
      if (stopping) throwIfStopping(stopping);
      throw cause;
    });
  }
}
