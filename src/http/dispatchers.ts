import {type Dispatcher, Pool, ProxyAgent} from 'undici';
import type {OriginSettings} from './origin.ts';

export interface Timeouts {
  /** To connect, in ms. */
  readonly connectMs: number;
  /** From the end of the request's body to the answer's headers, and for a stalled request body, in ms. */
  readonly headersMs: number;
  /** Between two pieces of an answer's body, in ms. */
  readonly bodyIdleMs: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = {
  connectMs: 20_000,
  headersMs: 60_000,
  bodyIdleMs: 60_000,
};

/** Connections to one origin. The throttle and the transfers in progress bound what is really in use. */
const CONNECTIONS = 256;
/** Idle connections are kept so long, in ms, where the server names no time of its own. */
const KEEP_ALIVE_MS = 20_000;

/**
 * One dispatcher for each origin, made when it is first needed. HTTP/1.1 only: bulk transfer over one HTTP/2
 * connection is several times slower than over several connections.
 */
export class Dispatchers {
  readonly #settings: OriginSettings;
  readonly #timeouts: Timeouts;
  readonly #byOrigin = new Map<string, Promise<Dispatcher>>();

  constructor(settings: OriginSettings, timeouts: Timeouts) {
    this.#settings = settings;
    this.#timeouts = timeouts;
  }

  /** @throws TransshipError TLS_FILE_INVALID, at each call for that origin */
  of(origin: string): Promise<Dispatcher> {
    let dispatcher = this.#byOrigin.get(origin);
    if (!dispatcher) {
      dispatcher = this.#make(origin);
      this.#byOrigin.set(origin, dispatcher);
    }
    return dispatcher;
  }

  /** Breaks what is still under way. */
  async destroy(): Promise<void> {
    const made = await Promise.allSettled(this.#byOrigin.values());
    this.#byOrigin.clear();
    const working = made.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    await Promise.all(working.map((dispatcher) => dispatcher.destroy()));
  }

  async #make(origin: string): Promise<Dispatcher> {
    const tls = origin.startsWith('https:') ? await this.#settings.connectOptions(origin) : {};
    const connect = {...mutable(tls), timeout: this.#timeouts.connectMs};
    const options = {
      connections: CONNECTIONS,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: this.#timeouts.headersMs,
      bodyTimeout: this.#timeouts.bodyIdleMs,
    };
    const proxy = this.#settings.proxyFor(origin);
    return proxy === undefined
      ? new Pool(origin, {...options, connect})
      : new ProxyAgent({...options, uri: proxy, requestTls: connect, connect});
  }
}

/** Node's types want arrays that may be changed. */
function mutable(tls: Awaited<ReturnType<OriginSettings['connectOptions']>>) {
  const {ca, cert, key, rejectUnauthorized} = tls;
  return {
    ...(ca && {ca: [...ca]}),
    ...(cert && {cert: [...cert]}),
    ...(key && {key: [...key]}),
    ...(rejectUnauthorized === undefined ? {} : {rejectUnauthorized}),
  };
}
