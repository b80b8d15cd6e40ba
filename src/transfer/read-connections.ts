/**
 * How many connections read large blobs at once, over the whole run. Each transfer has one by right; more are lent as
 * long as there are any, so that many transfers side by side do not each open ten.
 */
export class ReadConnections {
  readonly #limit: number;
  /** Sources that answered a range with the whole: there is no use in asking again. */
  readonly #withoutRanges = new Set<string>();
  #inUse = 0;

  constructor(limit = 10) {
    this.#limit = limit;
  }

  /** The most that one blob may read over. */
  get limit(): number {
    return this.#limit;
  }

  /** Counts a connection that a transfer has by right. */
  take(): void {
    this.#inUse += 1;
  }

  /** Lends one more. */
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
