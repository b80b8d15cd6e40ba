import {setTimeout as delay} from 'node:timers/promises';

/** When a failed request is sent again. A value, so that tests and callers can choose another. */
export interface RetryPolicy {
  /** Attempts in all. */
  readonly attempts: number;
  /** Attempts in all where the answer is 500: it may be an answer for good. */
  readonly attemptsAt500: number;
  /** The first pause is between 0 and this, in ms; the bound doubles each time (full jitter). */
  readonly baseMs: number;
  /** The bound of a single pause, in ms. */
  readonly capMs: number;
  /** Pauses in all, in ms; a `Retry-After` beyond that ends the attempts at once. */
  readonly budgetMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = {
  attempts: 6,
  attemptsAt500: 4,
  baseMs: 250,
  capMs: 8_000,
  budgetMs: 120_000,
};

/**
 * The longest pause that anybody waits for, in ms. This one may be more than a request's own budget: its caller can have
 * more patience, and meanwhile nobody else is to ask a host that wants to be left alone.
 */
export const LONGEST_HOLD_MS = 15 * 60_000;

/** Statuses after which the same request may be answered otherwise (RFC 9110, 15; RFC 6585, 4). */
const PASSING_STATUSES = new Set([408, 429, 500, 502, 503, 504]);

/** What an attempt came to, as far as a retry depends on it. */
export interface Failure {
  /** The status of the answer; undefined: the connection failed. */
  readonly status: number | undefined;
  /** The pause that the server asks for, in ms. */
  readonly retryAfterMs?: number | undefined;
}

export function isPassing(status: number): boolean {
  return PASSING_STATUSES.has(status);
}

/** The attempts of one request: counts them and says how long to pause before the next. */
export class Attempts {
  readonly #policy: RetryPolicy;
  #made = 1;
  #pausedMs = 0;

  constructor(policy: RetryPolicy) {
    this.#policy = policy;
  }

  /** The pause before the next attempt, in ms; undefined: it was the last one. */
  next({status, retryAfterMs = 0}: Failure): number | undefined {
    const {attempts, attemptsAt500, baseMs, capMs, budgetMs} = this.#policy;
    if (this.#made >= (status === 500 ? Math.min(attempts, attemptsAt500) : attempts))
      return undefined;
    const bound = Math.min(capMs, baseMs * 2 ** (this.#made - 1));
    const waitMs = retryAfterMs + Math.random() * bound;
    if (this.#pausedMs + waitMs > budgetMs) return undefined;
    this.#made++;
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
