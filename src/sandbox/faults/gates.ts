import {once} from 'node:events';

interface Gate {
  readonly reached: PromiseWithResolvers<void>;
  readonly opened: PromiseWithResolvers<void>;
}

/** Named places where requests wait. Whoever wrote the script says when they go on. */
export class Gates {
  readonly #gates = new Map<string, Gate>();

  /** Resolves when a request waits at the gate, or did before. */
  reached(name: string): Promise<void> {
    return this.#gate(name).reached.promise;
  }

  /** Lets all requests through, those to come as well. */
  open(name: string): void {
    this.#gate(name).opened.resolve();
  }

  /** Waits until the gate is open. @throws the signal's reason */
  async wait(name: string, signal: AbortSignal): Promise<void> {
    const {reached, opened} = this.#gate(name);
    reached.resolve();
    const ended = new AbortController();
    try {
      if (!signal.aborted)
        await Promise.race([opened.promise, once(signal, 'abort', {signal: ended.signal})]);
      signal.throwIfAborted();
    } finally {
      ended.abort();
    }
  }

  #gate(name: string): Gate {
    const known = this.#gates.get(name);
    if (known) return known;
    const gate = {
      reached: Promise.withResolvers<void>(),
      opened: Promise.withResolvers<void>(),
    };
    this.#gates.set(name, gate);
    return gate;
  }
}
