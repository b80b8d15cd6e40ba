import type {Dispatcher} from 'undici';
import {errors} from 'undici';
import type {Dial} from './dial.ts';
import {Exchange, type Handler} from './exchange.ts';
import {type ConnectionOwner, OriginConnection, type Outgoing} from './origin-connection.ts';
import {formatRequestHead} from './request-head.ts';

/** A request as undici's dispatchers take it. */
export interface DispatchedRequest {
  readonly origin: string;
  /** With the query. */
  readonly path: string;
  readonly method: Dispatcher.HttpMethod;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | AsyncIterable<Uint8Array> | null;
  /** For the answer, once the body is sent, in ms. */
  readonly headersTimeout: number;
  /** Of undici's: whether the connection is to be closed after it. */
  readonly reset: false;
}

export interface OriginDispatcherOptions {
  readonly origin: string;
  readonly dial: Dial;
  /** Connections at most. */
  readonly connections: number;
  /** To connect, in ms. */
  readonly connectMs: number;
  /** Between two pieces of an answer's body, in ms. */
  readonly bodyIdleMs: number;
}

/** An origin that answers within so many ms is near: connections are opened there as fast as they are needed. */
const NEAR_MS = 5;

interface Waiting {
  readonly exchange: Exchange;
  readonly outgoing: Outgoing;
}

/**
 * Sends small requests to one origin, in place of undici's Pool and by its contract. Undici's parser is WebAssembly,
 * which V8 compiles in each run: with it a run with nothing to do takes a quarter more processor time, one of eight large
 * layers 6 %, and both 12 MiB.
 */
export class OriginDispatcher implements ConnectionOwner {
  readonly #options: OriginDispatcherOptions;
  readonly #host: string;
  readonly #open = new Set<OriginConnection>();
  /** The one used last comes last: it is the least likely to have been closed meanwhile. */
  readonly #idle: OriginConnection[] = [];
  readonly #waiting: Waiting[] = [];
  #dialing = 0;
  #expecting: NodeJS.Timeout | undefined;
  /** Connections that are about to be needed. */
  #expected = 0;
  #isDestroyed = false;

  constructor(options: OriginDispatcherOptions) {
    this.#options = options;
    this.#host = new URL(options.origin).host;
  }

  /** As undici's: what becomes of the request, its handler is told. @returns true: more can be sent */
  dispatch(request: DispatchedRequest, handler: Handler): boolean {
    const {path: target, method, headers, body, headersTimeout: headersMs} = request;
    const exchange = new Exchange(method, handler);
    try {
      if (this.#isDestroyed) throw new errors.ClientDestroyedError();
      const head = formatRequestHead({method, target, headers: {host: this.#host, ...headers}});
      const length = Number(headers['content-length'] ?? 0);
      const {bodyIdleMs: idleMs} = this.#options;
      const outgoing = {head, body: body ?? undefined, length, headersMs, idleMs};
      this.#waiting.push({exchange, outgoing});
    } catch (error) {
      exchange.fail(error as Error);
      return true;
    }
    this.#serve();
    return true;
  }

  /** As `SmallDispatcher` has it. */
  expect(count: number): void {
    clearTimeout(this.#expecting);
    if (count === 0) return;
    this.#expecting = setTimeout(() => {
      this.#expected = count;
      this.#dialMissing();
    }, NEAR_MS);
  }

  /** Breaks what is still under way, and lets nothing begin. */
  destroy(): Promise<void> {
    this.#isDestroyed = true;
    this.expect(0);
    const error = new errors.ClientDestroyedError();
    for (const {exchange} of this.#waiting.splice(0)) exchange.fail(error);
    for (const connection of this.#open) connection.destroy(error);
    return Promise.resolve();
  }

  freed(connection: OriginConnection): void {
    this.#idle.push(connection);
    this.#serve();
  }

  closed(connection: OriginConnection): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#dialMissing();
  }

  #serve(): void {
    for (;;) {
      const connection = this.#idle.at(-1);
      const next = connection && this.#waiting.shift();
      if (connection === undefined || next === undefined) break;
      next.exchange.begin();
      if (next.exchange.aborted) continue;
      this.#idle.pop();
      connection.send(next.outgoing, next.exchange);
    }
    this.#dialMissing();
  }

  #dialMissing(): void {
    if (this.#isDestroyed) return;
    const room = () => this.#open.size + this.#dialing < this.#options.connections;
    while (this.#dialing < this.#waiting.length && room()) void this.#dial();
    // Those who wait come first.
    if (this.#waiting.length > 0) return;
    while (this.#open.size + this.#dialing < this.#expected && room()) void this.#dial();
    this.#expected = 0;
  }

  async #dial(): Promise<void> {
    const {dial, connectMs} = this.#options;
    this.#dialing += 1;
    const opening = OriginConnection.open(dial, connectMs, this).finally(
      () => (this.#dialing -= 1),
    );
    try {
      const connection = await opening;
      this.#open.add(connection);
      if (this.#isDestroyed) connection.destroy();
      else this.freed(connection);
    } catch (error) {
      // The one that has waited longest, which may not be the one that it was dialled for.
      this.#waiting.shift()?.exchange.fail(error as Error);
      this.#dialMissing();
    }
  }
}
