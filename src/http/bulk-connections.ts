import {setImmediate} from 'node:timers/promises';
import {errors} from 'undici';
import {BulkConnection} from './bulk-connection.ts';
import {type BulkAnswer, type BulkRequest, exchange} from './bulk-exchange.ts';
import type {Dial} from './dial.ts';

/** Where the server names a time after which it closes idle connections, ours end so much earlier, in ms. */
const MARGIN_MS = 1000;

/** An idle connection is kept no longer, in ms: it holds its buffers, and opening another takes a round trip or two. */
const LONGEST_IDLE_MS = 4000;

interface Idle {
  readonly connection: BulkConnection;
  /** When it is to be closed, in ms of the monotonic clock. The timer may be late. */
  readonly until: number;
  readonly timer: NodeJS.Timeout;
}

/** The connections to one origin that carry large bodies: as many as there are requests, and kept for the next ones. */
export class BulkConnections {
  readonly #dial: Dial;
  readonly #connectMs: number;
  readonly #all = new Set<BulkConnection>();
  /** The one used last comes last: it is the least likely to have been closed meanwhile. */
  readonly #idle: Idle[] = [];
  #isDestroyed = false;

  /** @param connectMs to connect, in ms */
  constructor(dial: Dial, connectMs: number) {
    this.#dial = dial;
    this.#connectMs = connectMs;
  }

  /** @throws as `exchange` and `BulkConnection.open` */
  async request(request: BulkRequest): Promise<BulkAnswer> {
    const connection = (await this.#takeIdle()) ?? (await this.#open(request.signal));
    let keepMs = LONGEST_IDLE_MS;
    const answer = await exchange(connection, request, (end) => {
      const isOfUse = end === 'whole' && keepMs > 0 && connection.isIdle && !this.#isDestroyed;
      if (isOfUse) this.#keep(connection, keepMs);
      else this.#close(connection);
    });
    const hint = /\btimeout=(\d{1,6})/.exec(String(answer.headers['keep-alive'] ?? ''))?.[1];
    if (hint !== undefined) keepMs = Math.min(keepMs, Number(hint) * 1000 - MARGIN_MS);
    return answer;
  }

  /** Breaks what is still under way. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const {timer} of this.#idle) clearTimeout(timer);
    for (const connection of this.#all) connection.destroy(new errors.ClientDestroyedError());
    this.#all.clear();
  }

  async #open(signal: AbortSignal): Promise<BulkConnection> {
    const connection = await BulkConnection.open(this.#dial, this.#connectMs, signal);
    this.#all.add(connection);
    if (!this.#isDestroyed) return connection;
    this.#close(connection);
    throw new errors.ClientDestroyedError();
  }

  #keep(connection: BulkConnection, ms: number): void {
    const idle: Idle = {
      connection,
      until: performance.now() + ms,
      timer: setTimeout(() => {
        this.#idle.splice(this.#idle.indexOf(idle), 1);
        this.#close(connection);
      }, ms),
    };
    this.#idle.push(idle);
  }

  async #takeIdle(): Promise<BulkConnection | undefined> {
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) {
      clearTimeout(idle.timer);
      // The server may have closed it right after its last answer, which is seen only when the system is asked again.
      await setImmediate();
      if (idle.connection.isIdle && idle.until > performance.now()) return idle.connection;
      this.#close(idle.connection);
    }
    return undefined;
  }

  #close(connection: BulkConnection): void {
    this.#all.delete(connection);
    connection.destroy();
  }
}
