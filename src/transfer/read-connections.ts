import {PartBuffers} from './part-buffers.ts';

/**
 * How many connections read large blobs at once, over the whole run. Each transfer has one by right, to read without a
 * buffer; those that read into buffers are lent as long as there are any, so that many transfers side by side do not
 * each open ten, and memory is bounded.
 */
export class ReadConnections {
  readonly buffers: PartBuffers;
  readonly #limit: number;
  /** Sources that answered a range with the whole: there is no use in asking again. */
  readonly #withoutRanges = new Set<string>();
  #inUse = 0;

  /** @param partSize bytes of one ranged request */
  constructor(limit = 10, partSize?: number) {
    this.#limit = limit;
    this.buffers = new PartBuffers(partSize);
  }

  /** The most that one blob may read over. */
  get limit(): number {
    return this.#limit;
  }

  /** Counts a connection that a transfer has by right. */
  take(): void {
    this.#inUse += 1;
  }

  /** Lends one, if there is one. */
  tryTake(): boolean {
    if (this.#inUse >= this.#limit) return false;
    this.#inUse += 1;
    return true;
  }

  release(): void {
    this.#inUse -= 1;
  }

  servesRanges(source: string): boolean {
    return !this.#withoutRanges.has(source);
  }

  cannotServeRanges(source: string): void {
    this.#withoutRanges.add(source);
  }
}
