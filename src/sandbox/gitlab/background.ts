import {pause} from '../../http/retry.ts';

/** What goes on after an answer: GitLab's workers. */
export class Background {
  readonly #ending = new AbortController();
  readonly #underWay = new Set<Promise<void>>();

  /** Does the work after so many ms, unless the sandbox is closed before. */
  later(ms: number, work: () => Promise<void>): void {
    const {signal} = this.#ending;
    const done = pause(ms, signal)
      .then(work)
      // The sandbox is closed, or its content gone: nobody is left to be told.
      .catch(() => undefined)
      .finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
  }

  /** Settles when all that was begun is done. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await this.settled();
  }
}
