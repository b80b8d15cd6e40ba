import {setTimeout as delay} from 'node:timers/promises';
import type {TransshipError} from '../model/error.ts';

/** When, and how often, to retry a failure. */
export interface RetryPolicy {
  /** Attempts in total, not counting those refused because of a rate limit. */
  readonly attempts: number;
  /** Attempts in total if the response is 500, which may be permanent. */
  readonly attemptsAt500: number;
  /** The first pause is between 0 and this, in ms; the bound doubles each time (full jitter). */
  readonly baseMs: number;
  /** Upper bound of a single pause that no host requested, in ms. */
  readonly capMs: number;
  /**
   * Total pause, in ms, including pauses for rate limits, whose number is not limited. A `Retry-After` that exceeds it
   * ends the attempts immediately.
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

/** Called before each pause: which attempt failed (from 1), how long the pause is, and why. */
export type OnRetry = (attempt: number, delayMs: number, error: TransshipError) => void;

/** Statuses after which a retry may succeed (RFC 9110, 15; RFC 6585, 4). */
const TEMPORARY_STATUSES = new Set([408, 429, 500, 502, 503, 504]);

/** The outcome of an attempt, as far as retries depend on it: a response or an error. */
export interface Failure {
  /** The status of the response; undefined: the connection failed. */
  readonly status: number | undefined;
  /** How long to wait before the next request to the host, in ms. */
  readonly retryAfterMs?: number | undefined;
}

/** Whether a response with this status may be followed by a success. */
export function isTemporary(status: number): boolean {
  return TEMPORARY_STATUSES.has(status);
}

/**
 * Whether the host limits the rate of requests: it works, so the number of attempts is not limited, only their time.
 */
export function isOverload({status, retryAfterMs = 0}: Failure): boolean {
  return status === 429 || (status === 503 && retryAfterMs > 0);
}

/**
 * The attempts at one operation. Only this class decides whether to retry: `HttpClient` uses it for repeatable
 * requests, other code for operations of several requests.
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
    // Added jitter, so that clients with the same `Retry-After` do not retry at the same time.
    const waitMs = retryAfterMs + Math.random() * Math.min(capMs, baseMs * 2 ** this.#pauses);
    if (this.#pausedMs + waitMs > budgetMs) return undefined;
    if (!isOverload(failure)) this.#made++;
    this.#pauses++;
    this.#pausedMs += waitMs;
    return waitMs;
  }
}

/** Waits this many ms, or rejects with the signal's reason. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, {signal});
  } catch (cause) {
    signal.throwIfAborted();
    throw cause;
  }
}
