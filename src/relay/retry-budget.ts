import {Attempts, type OnRetry, pause, type RetryPolicy} from '../http/retry.ts';
import {asTransshipError, type Side, throwIfStopping} from '../model/error.ts';
import type {Call} from '../model/port.ts';

/** Bytes that count as progress: if one byte did, failures could continue forever. */
const PROGRESS = 64 * 1024;
/** Of small operations, this fraction of the whole counts as progress. */
const PROGRESS_PART = 1 / 128;

/**
 * The retry budget of an operation of several requests: stalled reads, chunks, lost uploads. It refills with progress:
 * a relay that advances is not given up, however often it is interrupted. `HttpClient` retries repeatable requests;
 * failures that it has given up are not retried here.
 */
export class RetryBudget {
  readonly #policy: RetryPolicy;
  readonly #onRetry: OnRetry;
  readonly #stopping: AbortSignal | undefined;
  #attempts: Attempts;
  #failures = 0;
  /** Bytes since the last failure. */
  #arrived = 0;

  /** @param stopping ends a wait, and with it the operation: a host may request a pause of 15 minutes */
  constructor(policy: RetryPolicy, onRetry: OnRetry, stopping?: AbortSignal) {
    this.#policy = policy;
    this.#attempts = new Attempts(policy);
    this.#onRetry = onRetry;
    this.#stopping = stopping;
  }

  /** Failures since the last progress. */
  get failures(): number {
    return this.#failures;
  }

  /** Records progress: the budget is full again. */
  progressed(): void {
    if (this.#failures === 0) return;
    this.#failures = 0;
    this.#attempts = new Attempts(this.#policy);
  }

  /**
   * Records bytes. They count as progress if there are enough since the last failure.
   * @param whole bytes of the whole operation
   */
  arrived(bytes: number, whole: number): void {
    this.#arrived += bytes;
    if (this.#arrived >= Math.min(PROGRESS, whole * PROGRESS_PART)) this.progressed();
  }

  /**
   * Waits until the operation may be retried.
   * @throws the failure, as a TransshipError, if a retry cannot help or the budget is spent; the reason of the call's
   *   signal; INTERRUPTED if the run is stopping
   */
  async spend(failure: unknown, side: Side, {signal}: Call): Promise<void> {
    signal.throwIfAborted();
    const error = asTransshipError(failure, side);
    this.#failures += 1;
    this.#arrived = 0;
    const mayPass = error.retry && !error.exhausted;
    const delayMs = mayPass ? this.#attempts.next(error) : undefined;
    if (delayMs === undefined) throw error;
    this.#onRetry(this.#failures, Math.round(delayMs), error);
    const stopping = this.#stopping;
    const waiting = stopping ? AbortSignal.any([signal, stopping]) : signal;
    await pause(delayMs, waiting).catch((cause: unknown) => {
      signal.throwIfAborted();
      if (stopping) throwIfStopping(stopping);
      throw cause;
    });
  }
}
