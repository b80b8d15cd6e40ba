import type {Descriptor} from '../model/descriptor.ts';
import type {Call, RepositoryReader} from '../model/port.ts';
import {endedEarly, longer} from './blob-size.ts';
import type {RateLimit} from './rate-limit.ts';
import type {ReadContext} from './read-context.ts';
import type {RetryBudget} from './retry-budget.ts';

/**
 * One range of a blob on its way into memory. It is filled as fast as it comes, up to its own size, and emptied by the
 * one that reads `chunks`.
 */
export class Part {
  readonly end: number;
  /** Set when the source answered with the whole blob: what it sent is not used. */
  hasNoRanges = false;
  readonly #arrived: (bytes: number) => void;
  readonly #waiting: Uint8Array[] = [];
  /** The first byte that has not arrived. */
  #position: number;
  #filling: Promise<void> = Promise.resolve();
  #isOver = false;
  #failure: {readonly error: unknown} | undefined;
  #wake: () => void = () => undefined;

  constructor(
    range: {readonly start: number; readonly end: number},
    arrived: (bytes: number) => void,
  ) {
    this.#position = range.start;
    this.end = range.end;
    this.#arrived = arrived;
  }

  begin(
    source: RepositoryReader,
    blob: Descriptor,
    {newBudget, rate}: Pick<ReadContext, 'newBudget' | 'rate'>,
    call: Call,
  ): void {
    this.#filling = this.#fill(source, blob, newBudget(), rate, call)
      .catch((error: unknown) => {
        this.#failure = {error};
      })
      .finally(() => {
        this.#isOver = true;
        this.#wake();
      });
  }

  /** Settles when no connection is used any more; never rejects. */
  async ended(): Promise<void> {
    await this.#filling;
  }

  /** The bytes in order. @throws what made the part fail */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const chunk = this.#waiting.shift();
      if (chunk !== undefined) {
        yield chunk;
      } else if (this.#isOver) {
        if (this.#failure) throw this.#failure.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  async #fill(
    source: RepositoryReader,
    blob: Descriptor,
    budget: RetryBudget,
    rate: RateLimit | undefined,
    call: Call,
  ): Promise<void> {
    while (this.#position < this.end && !this.hasNoRanges) {
      try {
        await this.#fillFrom(source, blob, budget, rate, call);
        if (this.#position < this.end && !this.hasNoRanges)
          throw endedEarly(source, blob, this.#position);
      } catch (error) {
        await budget.spend(error, 'source', call);
      }
    }
  }

  async #fillFrom(
    source: RepositoryReader,
    blob: Descriptor,
    budget: RetryBudget,
    rate: RateLimit | undefined,
    call: Call,
  ): Promise<void> {
    const start = this.#position;
    const stream = await source.openBlob(blob, {offset: start, end: this.end}, call);
    this.hasNoRanges = stream.start !== start || stream.end !== this.end;
    for await (const chunk of stream.chunks) {
      if (this.hasNoRanges) return;
      if (rate) await rate.pass(chunk.byteLength, call);
      this.#position += chunk.byteLength;
      if (this.#position > this.end) throw longer(source, blob);
      budget.progressed();
      this.#waiting.push(chunk);
      this.#arrived(chunk.byteLength);
      this.#wake();
    }
  }
}
