/** Tells where nothing has moved for too long. One thing is watched at a time. */
export class Watch {
  #timer: NodeJS.Timeout | undefined;

  /** @param late called once, after so many ms without a `touch` */
  start(ms: number, late: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(late, ms);
  }

  /** Something moved. */
  touch(): void {
    this.#timer?.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
