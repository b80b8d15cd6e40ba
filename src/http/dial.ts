import {connect, type OnReadOpts, type Socket} from 'node:net';
import {errors} from 'undici';
import {readInto, SOCKET_SETTINGS, type Target} from './early-sockets.ts';
import {onAbort} from './on-abort.ts';
import {hostnameOf} from './origin.ts';

/** The way to one origin. */
export interface Dial {
  /**
   * Begins to connect; what arrives goes where `onread` says.
   * @param over connected to the origin's host already, to be used in place of a new connection
   */
  open(onread: OnReadOpts, over?: Socket): Socket;
  /** The event of the socket after which requests can be sent. */
  readonly ready: 'connect' | 'secureConnect';
  /** Whether bytes may still arrive after a pause, as of what TLS had deciphered. */
  readonly overruns: boolean;
}

/** To an `http:` origin. */
export function dialTcp(origin: string): Dial {
  const target = targetOf(origin);
  return {
    open: (onread, over) =>
      over === undefined ? connect(socketOptions(target, onread)) : readInto(over, onread),
    ready: 'connect',
    overruns: false,
  };
}

/** Of a new connection, over TLS or not. */
export function socketOptions(target: Target, onread: OnReadOpts) {
  return {...target, ...SOCKET_SETTINGS, onread};
}

/** @param origin `scheme://host[:port]` */
export function targetOf(origin: string): Target {
  const {protocol, host, port} = new URL(origin);
  return {host: hostnameOf(host), port: Number(port || (protocol === 'https:' ? 443 : 80))};
}

/**
 * Resolves when requests can be sent.
 * @param connectMs how long it may take, in ms
 * @throws the errors of Node and undici, as `networkError` understands them; the signal's reason
 */
export async function untilReady(
  socket: Socket,
  {ready}: Dial,
  connectMs: number,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const isReady = ready === 'connect' && socket.readyState === 'open';
  if (isReady) return;
  const {promise, resolve, reject} = Promise.withResolvers<void>();
  const closed = (): void => reject(closedByOther(socket));
  const timer = setTimeout(() => reject(new errors.ConnectTimeoutError()), connectMs);
  const forget = onAbort(signal, () => reject(signal.reason as Error));
  socket.once(ready, resolve).once('error', reject).once('close', closed);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    forget();
    socket.off(ready, resolve).off('error', reject).off('close', closed);
  }
}

/** What breaks off when the other side ends a connection. */
export function closedByOther({bytesRead, bytesWritten}: Socket): Error {
  return Object.assign(new errors.SocketError('other side closed'), {
    // Whether it ever said anything tells more of why.
    socket: {bytesRead, bytesWritten},
  });
}
