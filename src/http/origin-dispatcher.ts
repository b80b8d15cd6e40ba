import type {Socket} from 'node:net';
import {errors} from 'undici';
import type {Dial} from './dial.ts';
import {Exchange, type Handler} from './exchange.ts';
import {type ConnectionOwner, OriginConnection, type Outgoing} from './origin-connection.ts';
import {formatRequestHead} from './request-head.ts';
import type {DispatchedRequest, SmallDispatcher} from './small-dispatcher.ts';

export interface OriginDispatcherOptions {
  readonly origin: string;
  readonly dial: Dial;
  /** Gives a connection that was begun before it was asked for; undefined: there is none, now or in the end. */
  readonly begun?: () => Promise<Socket | undefined> | undefined;
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
export class OriginDispatcher implements SmallDispatcher, ConnectionOwner {
  readonly #options: OriginDispatcherOptions;
  readonly #host: string;
  readonly #open = new Set<OriginConnection>();
  /** The one used last comes last: it is the least likely to have been closed meanwhile. */
  readonly #idle: OriginConnection[] = [];
  readonly #waiting: Waiting[] = [];
  /** Connections whose answer has just ended. */
  #resting: OriginConnection[] = [];
  #dialing = 0;
  #expecting: NodeJS.Timeout | undefined;
  /** Connections that are about to be needed. */
  #expected = 0;
  readonly #destroying = new AbortController();

  constructor(options: OriginDispatcherOptions) {
    this.#options = options;
    this.#host = new URL(options.origin).host;
  }

  dispatch(request: DispatchedRequest, handler: Handler): boolean {
    const {path: target, method, headers, body, headersTimeout: headersMs} = request;
    const exchange = new Exchange(method, handler);
    try {
      this.#destroying.signal.throwIfAborted();
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

  expect(count: number): void {
    clearTimeout(this.#expecting);
    this.#expected = 0;
    if (count === 0) return;
    this.#expecting = setTimeout(() => {
      this.#expected = count;
      this.#dialMissing();
    }, NEAR_MS);
  }

  destroy(): Promise<void> {
    const error = new errors.ClientDestroyedError();
    this.#destroying.abort(error);
    this.expect(0);
    for (const {exchange} of this.#waiting.splice(0)) exchange.fail(error);
    for (const connection of this.#open) connection.destroy(error);
    return Promise.resolve();
  }

  /**
   * A connection rests for one turn of the event loop: a server that closes it, or sends more than its answer, has often
   * done so by now, and it is not seen before the system is asked again.
   */
  answered(connection: OriginConnection): void {
    if (this.#resting.push(connection) > 1) return;
    setImmediate(() => setImmediate(() => this.#wake()));
  }

  closed(connection: OriginConnection): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#dialMissing();
  }

  #wake(): void {
    this.#idle.push(...this.#resting.filter(({isClosed}) => !isClosed));
    this.#resting = [];
    this.#serve();
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
    if (this.#destroying.signal.aborted) return;
    const room = () => this.#open.size + this.#dialing < this.#options.connections;
    const soon = () => this.#dialing + this.#resting.length;
    while (soon() < this.#waiting.length && room()) void this.#dial();
    // Those who wait come first; and where none could be opened, more are of no use.
    if (this.#waiting.length > 0 || this.#open.size === 0) return;
    while (this.#open.size + this.#dialing < this.#expected && room()) void this.#dial();
    this.#expected = 0;
  }

  async #dial(): Promise<void> {
    const {dial, begun, connectMs} = this.#options;
    const {signal} = this.#destroying;
    this.#dialing += 1;
    const open = (over?: Socket): Promise<OriginConnection> =>
      OriginConnection.open({dial, connectMs, signal, over}, this);
    const opening = (begun?.()?.then(open) ?? open()).finally(() => {
      this.#dialing -= 1;
    });
    try {
      const connection = await opening;
      this.#open.add(connection);
      this.#idle.push(connection);
      this.#serve();
    } catch (error) {
      this.#expected = 0;
      // The one that has waited longest, unless there are others on their way for all who wait.
      if (this.#open.size === 0 || this.#waiting.length > this.#dialing)
        this.#waiting.shift()?.exchange.fail(error as Error);
      this.#dialMissing();
    }
  }
}
