import {type Dispatcher, errors, Pool, ProxyAgent} from 'undici';
import {connector} from './connector.ts';
import type {OriginSettings} from './origin.ts';
import {secureOptions} from './tls.ts';

export interface Timeouts {
  /** To connect, in ms. */
  readonly connectMs: number;
  /** From the end of the request's body to the answer's headers, and for a stalled request body, in ms. */
  readonly headersMs: number;
  /** Between two pieces of an answer's body, in ms. */
  readonly bodyIdleMs: number;
  /** For the whole of a body that is read into memory, in ms. */
  readonly readMs: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = {
  connectMs: 20_000,
  headersMs: 60_000,
  bodyIdleMs: 60_000,
  readMs: 180_000,
};

/** How requests reach one origin. */
export interface OriginDispatcher {
  readonly dispatcher: Dispatcher;
  /** Through a proxy. Its connections are undici's own: they keep what is written until it is sent. */
  readonly isProxied: boolean;
}

/**
 * HTTP/1.1 only: large bodies are several times slower over one HTTP/2 connection than over several connections. The
 * number of connections is not limited here: the throttle of the origin limits requests.
 */
const POOL = {
  connections: null,
  pipelining: 1,
  allowH2: false,
  /** Where the server names no time after which it closes an idle connection, in ms; else so much before that. */
  keepAliveTimeout: 20_000,
  keepAliveMaxTimeout: 20_000,
  keepAliveTimeoutThreshold: 1000,
  /** Of an answer's headers, and of its trailers, in bytes. */
  maxHeaderSize: 64 * 1024,
} as const satisfies Pool.Options;

/** A pool of undici's for each origin, or its proxy agent, made when it is first needed. */
export class Dispatchers {
  readonly timeouts: Timeouts;
  readonly #settings: OriginSettings;
  readonly #byOrigin = new Map<string, Promise<OriginDispatcher>>();
  /** Aborted when they are destroyed: ends connections that are still being made. */
  readonly #closing = new AbortController();

  constructor(settings: OriginSettings, timeouts: Timeouts) {
    this.#settings = settings;
    this.timeouts = timeouts;
  }

  /** @throws TransshipError TLS_FILE_INVALID, at each call for that origin; undici's ClientDestroyedError */
  async of(origin: string): Promise<OriginDispatcher> {
    if (this.#closing.signal.aborted) throw new errors.ClientDestroyedError();
    let made = this.#byOrigin.get(origin);
    if (!made) {
      made = this.#make(origin);
      this.#byOrigin.set(origin, made);
    }
    return await made;
  }

  /** Breaks what is still under way, and lets nothing begin. */
  async destroy(): Promise<void> {
    this.#closing.abort();
    const all = await Promise.allSettled(this.#byOrigin.values());
    const made = all.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    await Promise.all(made.map(({dispatcher}) => dispatcher.destroy()));
  }

  async #make(origin: string): Promise<OriginDispatcher> {
    const {connectMs} = this.timeouts;
    const {signal} = this.#closing;
    const tls = origin.startsWith('https:')
      ? secureOptions(await this.#settings.connectOptions(origin))
      : {};
    const proxy = this.#settings.proxyFor(origin);
    if (proxy === undefined) {
      const connect = connector({tls, connectMs, signal});
      return {dispatcher: new Pool(origin, {...POOL, connect}), isProxied: false};
    }
    // Its types name options of TLS alone; it passes all of them on.
    const ending: object = {signal};
    const dispatcher = new ProxyAgent({
      ...POOL,
      uri: proxy,
      // Without a tunnel it passes on none of these options itself.
      factory: (to, options) => new Pool(to, Object.assign({...POOL}, options)),
      // The connection to the proxy is made by `proxyTls`, whatever the proxy's scheme; `requestTls` goes through it.
      requestTls: {...tls, timeout: connectMs},
      proxyTls: {timeout: connectMs, allowH2: false, ...ending},
    });
    return {dispatcher, isProxied: true};
  }
}
