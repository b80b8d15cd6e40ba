import {type Dispatcher, Pool, ProxyAgent} from 'undici';
import {type Deliveries, limitFraming} from './framing-limit.ts';
import {ProxyError} from './network-error.ts';
import type {SecureOptions} from './tls.ts';

/** The connections of an origin behind a proxy. */
export interface ProxyOptions {
  /** The URL of the proxy. */
  readonly proxy: string;
  /** For connections to the proxy itself, if its scheme is `https:`. */
  readonly proxyTls: SecureOptions;
  /** For connections to the origin, through a tunnel of the proxy, if it is an `https:` origin. */
  readonly tls: SecureOptions;
  /** Of connections to the proxy as well. */
  readonly pool: Pool.Options;
  /** Timeout, in ms, each for the connection to the proxy, for its response to CONNECT, and for TLS with the origin. */
  readonly connectMs: number;
  /** Aborts connection attempts. */
  readonly signal: AbortSignal;
  readonly deliveries: Deliveries;
}

/**
 * Sends the requests of one origin through a proxy: in a tunnel (RFC 9110, section 9.3.6) for `https:`, else as they
 * are. Connections are undici's own. Their errors before the tunnel is open are `ProxyError`s.
 */
export function proxyDispatcher(origin: string, options: ProxyOptions): Dispatcher {
  const {proxy, proxyTls, tls, pool, connectMs, signal, deliveries} = options;
  const isTunnelled = origin.startsWith('https:');
  const {host} = new URL(proxy);
  // undici's type of `proxyTls` lacks `signal`, but all options are passed to `net.connect`.
  const ending: object = {signal};
  return new ProxyAgent({
    ...pool,
    uri: proxy,
    // Undici would wait 300 s for the response to CONNECT.
    clientFactory: (to, given) =>
      new Pool(to, {
        ...limited({...pool, ...given}, deliveries),
        headersTimeout: connectMs,
      }).compose((dispatch) => (request, handler) => dispatch(request, new Tunnel(handler, host))),
    // For plain HTTP, which it sends without a tunnel, ProxyAgent does not pass the pool's options on.
    factory: (to, given) =>
      new Pool(
        to,
        limited(Object.assign({...pool}, given), deliveries, isTunnelled ? undefined : host),
      ),
    // The connection to the proxy is made by `proxyTls`, whatever the proxy's scheme; `requestTls` goes through it.
    requestTls: {...tls, timeout: connectMs},
    proxyTls: {...proxyTls, timeout: connectMs, allowH2: false, ...ending},
  });
}

/**
 * The options of a pool, with the limit of its connections.
 * @param proxy the host of the proxy that they lead to
 */
function limited(options: Pool.Options, deliveries: Deliveries, proxy?: string): Pool.Options {
  const {connect} = options;
  if (typeof connect !== 'function') return options;
  return {
    ...options,
    connect: (to, done) =>
      connect(to, (...made) => {
        if (made[0] === null) limitFraming(made[1], deliveries);
        else if (proxy !== undefined) made[0] = new ProxyError(proxy, made[0]);
        done(...made);
      }),
  };
}

/** The response to a CONNECT request. */
class Tunnel implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #proxy: string;

  constructor(handler: Dispatcher.DispatchHandler, proxy: string) {
    this.#handler = handler;
    this.#proxy = proxy;
  }

  onRequestStart(...start: Parameters<NonNullable<Dispatcher.DispatchHandler['onRequestStart']>>) {
    this.#handler.onRequestStart?.(...start);
  }

  onRequestUpgrade(
    ...upgrade: Parameters<NonNullable<Dispatcher.DispatchHandler['onRequestUpgrade']>>
  ) {
    const [controller, status, , socket] = upgrade;
    if (status === 200) {
      this.#handler.onRequestUpgrade?.(...upgrade);
      return;
    }
    socket.on('error', () => undefined).destroy();
    this.#handler.onResponseError?.(controller, new ProxyError(this.#proxy, undefined, status));
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error) {
    this.#handler.onResponseError?.(controller, new ProxyError(this.#proxy, error));
  }
}
