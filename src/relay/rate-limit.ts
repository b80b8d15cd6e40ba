import {setTimeout as delay} from 'node:timers/promises';
import type {Call} from '../model/port.ts';

/** What may pass at once, also after a time without traffic, in ms of the rate. */
const BURST_MS = 100;

/**
 * Holds all bytes that are read from sources to one rate, over all relays of the run. What waits is not read, so
 * the source feels it too.
 */
export class RateLimit {
  readonly #bytesPerMs: number;
  /** When all that was let through so far is paid for, in ms of the monotonic clock. */
  #paidAt = 0;

  /** @param bytesPerSecond at least 1 */
  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** The most that is to be let through at once, in bytes. */
  get pieceSize(): number {
    return Math.max(1, Math.floor(this.#bytesPerMs * BURST_MS));
  }

  /**
   * The bytes in pieces; each is to be passed on once `pass` has let it through. All at once after a wait for all of them
   * would leave the one who takes them without any for so long that it takes the connection for dead.
   */
  *pieces(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
    const size = this.pieceSize;
    for (let at = 0; at < chunk.byteLength; at += size) yield chunk.subarray(at, at + size);
  }

  /** Resolves when so many bytes, which have arrived, may be passed on. Those that ask first go first. */
  async pass(bytes: number, {signal}: Call): Promise<void> {
    const now = performance.now();
    this.#paidAt = Math.max(this.#paidAt, now - BURST_MS) + bytes / this.#bytesPerMs;
    const waitMs = this.#paidAt - now;
    if (waitMs > 0) await delay(waitMs, undefined, {signal});
  }
}
