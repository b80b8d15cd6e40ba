/**
 * Tells where something takes too long. One thing is watched at a time. One timer serves many: to make and to clear one
 * for each request costs more than to look at the clock.
 */
export class Watch {
  #timer: NodeJS.Timeout | undefined;
  /** When the timer strikes, in ms of the monotonic clock; it may be too early, and is set again then. */
  #strikes = Infinity;
  #watched: {readonly late: () => void; readonly until: number} | undefined;

  /** @param late called once, after so many ms, unless it is stopped or started anew before */
  start(ms: number, late: () => void): void {
    const now = performance.now();
    this.#watched = {late, until: now + ms};
    if (this.#strikes > this.#watched.until) this.#set(now, ms);
  }

  stop(): void {
    this.#watched = undefined;
  }

  /** Stops for good. */
  end(): void {
    this.stop();
    clearTimeout(this.#timer);
  }

  #set(now: number, ms: number): void {
    clearTimeout(this.#timer);
    this.#strikes = now + ms;
    // A socket that is read or written holds the process until then; what is left of a timer that was stopped must not.
    this.#timer = setTimeout(() => this.#look(), ms).unref();
  }

  #look(): void {
    this.#strikes = Infinity;
    const watched = this.#watched;
    if (watched === undefined) return;
    const now = performance.now();
    if (now < watched.until) {
      this.#set(now, watched.until - now);
      return;
    }
    this.#watched = undefined;
    watched.late();
  }
}
