import {connect, type OnReadOpts, type Socket} from 'node:net';
import {hostnameOf} from './origin.ts';

/** The way to one origin. */
export interface Dial {
  /** Begins to connect; what arrives goes where `onread` says. */
  open(onread: OnReadOpts): Socket;
  /** The event of the socket after which requests can be sent. */
  readonly ready: 'connect' | 'secureConnect';
}

/** To an `http:` origin. */
export function dialTcp(origin: string): Dial {
  return {open: (onread) => connect(socketOptions(origin, onread)), ready: 'connect'};
}

/**
 * What sockets have in common, over TLS or not.
 * @param origin `scheme://host[:port]`
 */
export function socketOptions(origin: string, onread: OnReadOpts) {
  const {protocol, host, port} = new URL(origin);
  return {
    host: hostnameOf(host),
    port: Number(port || (protocol === 'https:' ? 443 : 80)),
    // Nagle would hold back the last piece of each request until the one before is acknowledged.
    noDelay: true,
    keepAlive: true,
    onread,
  };
}
