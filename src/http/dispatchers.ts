import {errors} from 'undici';
import {BulkConnections} from './bulk-connections.ts';
import {type Dial, dialTcp, targetOf} from './dial.ts';
import type {SecureOptions} from './dial-tls.ts';
import type {EarlySockets} from './early-sockets.ts';
import type {OriginSettings} from './origin.ts';
import {KEEP_ALIVE_MS} from './origin-connection.ts';
import {OriginDispatcher} from './origin-dispatcher.ts';
import type {SmallDispatcher} from './small-dispatcher.ts';

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

/** Connections to one origin at most: as many as the throttle lets small requests be under way. */
const CONNECTIONS = 64;
/** The ways to one origin. */
export interface Channel {
  /** For requests of any kind. */
  readonly dispatcher: SmallDispatcher;
  /** For large bodies and the requests around them; undefined: the way leads through a proxy. */
  readonly bulk: BulkConnections | undefined;
}

/**
 * One channel for each origin, made when it is first needed. HTTP/1.1 only: bulk transfer over one HTTP/2 connection is
 * several times slower than over several connections.
 */
export class Dispatchers {
  readonly timeouts: Timeouts;
  readonly #settings: OriginSettings;
  readonly #early: EarlySockets | undefined;
  readonly #byOrigin = new Map<string, Promise<Channel>>();
  #isDestroyed = false;

  /** @param early for the first small requests to their hosts */
  constructor(settings: OriginSettings, timeouts: Timeouts, early?: EarlySockets) {
    this.#settings = settings;
    this.timeouts = timeouts;
    this.#early = early;
  }

  /** @throws TransshipError TLS_FILE_INVALID, at each call for that origin; undici's ClientDestroyedError */
  async of(origin: string): Promise<Channel> {
    if (this.#isDestroyed) throw new errors.ClientDestroyedError();
    let channel = this.#byOrigin.get(origin);
    if (!channel) {
      channel = this.#make(origin);
      this.#byOrigin.set(origin, channel);
    }
    return await channel;
  }

  /** Breaks what is still under way, and lets nothing begin. */
  async destroy(): Promise<void> {
    this.#isDestroyed = true;
    const made = await Promise.allSettled(this.#byOrigin.values());
    const working = made.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    for (const {bulk} of working) bulk?.destroy();
    await Promise.all(working.map(({dispatcher}) => dispatcher.destroy()));
  }

  async #make(origin: string): Promise<Channel> {
    const {connectMs, headersMs, bodyIdleMs} = this.timeouts;
    const {secure, dial} = await this.#waysTo(origin);
    const proxy = this.#settings.proxyFor(origin);
    if (proxy !== undefined) {
      const {proxyDispatcher} = await import('./proxy-agent.ts');
      // The connection to the proxy is made by `proxyTls`, whatever the proxy's scheme; `requestTls` goes through it.
      const dispatcher = proxyDispatcher({
        uri: proxy,
        // Large bodies take this way as well, and each may wait for a request that stands behind it.
        connections: null,
        pipelining: 1,
        keepAliveTimeout: KEEP_ALIVE_MS,
        allowH2: false,
        headersTimeout: headersMs,
        bodyTimeout: bodyIdleMs,
        requestTls: {...secure, timeout: connectMs},
        proxyTls: {timeout: connectMs, allowH2: false},
      });
      return {dispatcher, bulk: undefined};
    }
    return {
      dispatcher: new OriginDispatcher({
        origin,
        dial,
        begun: () => this.#early?.take(targetOf(origin)),
        connections: CONNECTIONS,
        connectMs,
        bodyIdleMs,
      }),
      bulk: new BulkConnections(dial, connectMs),
    };
  }

  async #waysTo(origin: string): Promise<{readonly secure?: SecureOptions; readonly dial: Dial}> {
    if (!origin.startsWith('https:')) return {dial: dialTcp(origin)};
    const {dialTls, secureOptions} = await import('./dial-tls.ts');
    const secure = secureOptions(await this.#settings.connectOptions(origin));
    return {secure, dial: dialTls(origin, secure)};
  }
}
