import {PartBuffers} from './part-buffers.ts';

/**
 * How many connections read large blobs at once, over the whole run. Each transfer has one by right, to read without a
 * buffer; those that read into buffers are lent as long as there are any, so that many transfers side by side do not
 * each open eight, and memory is bounded.
 */
export class ReadConnections {
  readonly buffers: PartBuffers;
  readonly #limit: number;
  /** Whether a source serves ranges, by its name, once it was asked for one. */
  readonly #ranges = new Map<string, boolean>();
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

  /** Counts a transfer of a large blob, until it leaves, with the one connection that it has by right. */
  enter(): void {
    this.#transfers += 1;
  }

  leave(): void {
    this.#transfers -= 1;
  }

  /** How many there are to lend: the fewer the more transfers there are, which read side by side anyway. */
  get available(): number {
    // Who reads over lent ones does not use its own.
    const own = Math.max(0, this.#transfers - 1);
    return this.#limit - this.#lent - own;
  }

  /** Lends one, if there is one. */
  tryTake(): boolean {
    if (this.available <= 0) return false;
    this.#lent += 1;
    return true;
  }

  release(): void {
    this.#lent -= 1;
  }

  /** Whether this source answers a range with that range, and not with the whole; undefined: not known yet. */
  servesRanges(source: string): boolean | undefined {
    return this.#ranges.get(source);
  }

  learnRanges(source: string, areServed: boolean): void {
    this.#ranges.set(source, areServed);
  }
}
