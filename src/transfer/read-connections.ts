import {PartBuffers} from './part-buffers.ts';

/**
 * How many connections read large blobs at once, over the whole run. Each transfer has one by right, to read without a
 * buffer; those that read into buffers are lent as long as there are any, so that many transfers side by side do not
 * each open eight, and memory is bounded.
 */
export class ReadConnections {
  readonly buffers: PartBuffers;
  readonly #limit: number;
  /** Sources that answered a range with the whole: there is no use in asking again. */
  readonly #withoutRanges = new Set<string>();
  #lent = 0;
  #transfers = 0;

  /** @param partSize bytes of one ranged request */
  constructor(limit = 8, partSize?: number) {
    this.#limit = limit;
    this.buffers = new PartBuffers(partSize);
  }

  /** The most that one blob may read over. */
  get limit(): number {
    return this.#limit;
  }

  /** Counts a transfer, until it leaves, with the one connection that it has by right. */
  enter(): void {
    this.#transfers += 1;
  }

  leave(): void {
    this.#transfers -= 1;
  }

  /** Lends one, if there is one: the fewer the more transfers there are, which read side by side anyway. */
  tryTake(): boolean {
    if (this.#lent + this.#transfers - 1 >= this.#limit) return false;
    this.#lent += 1;
    return true;
  }

  release(): void {
    this.#lent -= 1;
  }

  servesRanges(source: string): boolean {
    return !this.#withoutRanges.has(source);
  }

  cannotServeRanges(source: string): void {
    this.#withoutRanges.add(source);
  }
}
