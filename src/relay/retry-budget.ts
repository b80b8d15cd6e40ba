import {Attempts, type OnRetry, pause, type RetryPolicy} from '../http/retry.ts';
import {asTransshipError, type Side, throwIfStopping} from '../model/error.ts';
import type {Call} from '../model/port.ts';

/** So much of what is to be read is progress, in bytes: a byte for each failure would be no end of failures. */
const PROGRESS = 64 * 1024;
/** Or this part of it, where it is less. */
const PROGRESS_PART = 1 / 128;

/**
 * The attempts at one piece of work that no single request does: bytes that stop coming, chunks, uploads that are lost.
 * It refills when the work got on: a relay that moves, however often it is cut, is not given up. Requests that can be
 * repeated were repeated by `HttpClient`; what it gave up is not tried again here.
 */
export class RetryBudget {
  readonly #policy: RetryPolicy;
  readonly #onRetry: OnRetry;
  readonly #stopping: AbortSignal | undefined;
  #attempts: Attempts;
  #failures = 0;
  /** Bytes since the last failure. */
  #arrived = 0;

  /** @param stopping ends a wait, and with it the work: a host may want to be left alone for a quarter of an hour */
  constructor(policy: RetryPolicy, onRetry: OnRetry, stopping?: AbortSignal) {
    this.#policy = policy;
    this.#attempts = new Attempts(policy);
    this.#onRetry = onRetry;
    this.#stopping = stopping;
  }

  /** Failures since the work last got on. */
  get failures(): number {
    return this.#failures;
  }

  progressed(): void {
    if (this.#failures === 0) return;
    this.#failures = 0;
    this.#attempts = new Attempts(this.#policy);
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
