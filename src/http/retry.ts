import {setTimeout as delay} from 'node:timers/promises';
import type {TransshipError} from '../model/error.ts';

/** When what failed is tried again. A value, so that tests and callers can choose another. */
export interface RetryPolicy {
  /** Attempts in all, those aside that a host refused because it wants fewer requests. */
  readonly attempts: number;
  /** Attempts in all where the answer is 500: it may be an answer for good. */
  readonly attemptsAt500: number;
  /** The first pause is between 0 and this, in ms; the bound doubles each time (full jitter). */
  readonly baseMs: number;
  /** The bound of a single pause that no host asked for, in ms. */
  readonly capMs: number;
  /**
   * Pauses in all, in ms, also for a host that wants fewer requests: how often it may say so is not limited. A
   * `Retry-After` beyond that ends the attempts at once.
   */
  readonly budgetMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = {
  attempts: 7,
  attemptsAt500: 3,
  baseMs: 250,
  capMs: 8_000,
  budgetMs: 15 * 60_000,
};

/** Told before each pause: which attempt failed (from 1), how long the pause is, and why. */
export type OnRetry = (attempt: number, delayMs: number, error: TransshipError) => void;

/** Statuses after which the same request may be answered otherwise (RFC 9110, 15; RFC 6585, 4). */
const PASSING_STATUSES = new Set([408, 429, 500, 502, 503, 504]);

/** What an attempt came to, as far as a retry depends on it: an answer or an error. */
export interface Failure {
  /** The status of the answer; undefined: the connection failed. */
  readonly status: number | undefined;
  /** How long the host is to be left alone, in ms. */
  readonly retryAfterMs?: number | undefined;
}

export function isPassing(status: number): boolean {
  return PASSING_STATUSES.has(status);
}

/** Whether the host wants fewer requests, for a time. It is not broken: only its patience and ours count. */
export function isOverload({status, retryAfterMs = 0}: Failure): boolean {
  return status === 429 || (status === 503 && retryAfterMs > 0);
}

/**
 * The attempts at one thing, the one place that decides whether there is another: for requests that can be repeated
 * `HttpClient` asks, for work that is more than a request whoever does it.
 */
export class Attempts {
  readonly #policy: RetryPolicy;
  #made = 1;
  #pauses = 0;
  #pausedMs = 0;

  constructor(policy: RetryPolicy) {
    this.#policy = policy;
  }

  /** The pause before the next attempt, in ms; undefined: it was the last one. */
  next(failure: Failure): number | undefined {
    const {status, retryAfterMs = 0} = failure;
    const {attempts, attemptsAt500, baseMs, capMs, budgetMs} = this.#policy;
    const most = status === 500 ? Math.min(attempts, attemptsAt500) : attempts;
    if (!isOverload(failure) && this.#made >= most) return undefined;
    // Added, so that those who were told the same time do not come back together.
    const waitMs = retryAfterMs + Math.random() * Math.min(capMs, baseMs * 2 ** this.#pauses);
    if (this.#pausedMs + waitMs > budgetMs) return undefined;
    if (!isOverload(failure)) this.#made++;
    this.#pauses++;
    this.#pausedMs += waitMs;
    return waitMs;
  }
}

/** Waits so many ms, or rejects with the signal's reason. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, {signal});
  } catch (cause) {
    signal.throwIfAborted();
    throw cause;
  }
}
