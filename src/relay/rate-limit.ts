import {setTimeout as delay} from 'node:timers/promises';
import type {Call} from '../model/port.ts';

/** Maximum burst, also after idle time, in ms at the limit rate. */
const BURST_MS = 100;

/**
 * Limits the rate of all bytes read from sources, over all relays of the run. Waiting bytes are not read, so the limit
 * also slows down the source.
 */
export class RateLimit {
  readonly #bytesPerMs: number;
  /** When the bytes passed so far are within the rate, in ms of the monotonic clock. */
  #paidAt = 0;

  /** @param bytesPerSecond at least 1 */
  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** Maximum bytes to pass at once. */
  get pieceSize(): number {
    return Math.max(1, Math.floor(this.#bytesPerMs * BURST_MS));
  }

  /**
   * Splits the bytes; pass each slice on after `pass` has resolved for it. Waiting for all bytes at once would starve
   * the consumer until it considers the connection dead.
   */
  *pieces(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
    const size = this.pieceSize;
    for (let at = 0; at < chunk.byteLength; at += size) yield chunk.subarray(at, at + size);
  }

  /** Resolves when this many received bytes may be passed on, in the order of calls. */
  async pass(bytes: number, {signal}: Call): Promise<void> {
    const now = performance.now();
    this.#paidAt = Math.max(this.#paidAt, now - BURST_MS) + bytes / this.#bytesPerMs;
    const waitMs = this.#paidAt - now;
    if (waitMs > 0) await delay(waitMs, undefined, {signal});
  }
}
