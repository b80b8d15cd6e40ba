/** The rate during the last seconds, from absolute byte counts. */
export class Rate {
  readonly #windowMs: number;
  readonly #samples: {readonly at: number; readonly bytes: number}[] = [];

  constructor(windowMs = 10_000) {
    this.#windowMs = windowMs;
  }

  /** @param at in ms, of any monotonic clock */
  sample(at: number, bytes: number): void {
    this.#samples.push({at, bytes});
    while ((this.#samples[1]?.at ?? at) < at - this.#windowMs) this.#samples.shift();
  }

  /** In bytes per second; undefined: not known yet. */
  get perSecond(): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.at === first.at) return undefined;
    return Math.max(0, ((last.bytes - first.bytes) * 1000) / (last.at - first.at));
  }
}
