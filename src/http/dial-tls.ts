// Loaded only where an origin speaks TLS: node:tls takes 10 ms to load.
import {isIP} from 'node:net';
import {connect, createSecureContext, getCACertificates, type SecureContext} from 'node:tls';
import {type Dial, socketOptions} from './dial.ts';
import type {ConnectOptions} from './origin.ts';

/** What connections over TLS to one origin have in common. */
export interface SecureOptions {
  readonly secureContext: SecureContext;
  readonly rejectUnauthorized?: boolean;
}

/** One context for all connections: to read some hundred authorities costs 20 ms each time. */
export function secureOptions({ca, cert, key, rejectUnauthorized}: ConnectOptions): SecureOptions {
  return {
    secureContext: createSecureContext({
      ...(ca && {ca: [...ca]}),
      ...(cert && {cert: [...cert]}),
      ...(key && {key: [...key]}),
    }),
    ...(rejectUnauthorized === undefined ? {} : {rejectUnauthorized}),
  };
}

/** To an `https:` origin. */
export function dialTls(origin: string, secure: SecureOptions): Dial {
  return {
    open: (onread) => {
      const socket = socketOptions(origin, onread);
      return connect({
        ...socket,
        ...secure,
        ALPNProtocols: ['http/1.1'],
        // An address is no server name (RFC 6066, section 3).
        ...(isIP(socket.host) ? {} : {servername: socket.host}),
      });
    },
    ready: 'secureConnect',
    overruns: true,
  };
}

/** Node's authorities and those of the operating system, PEM; some are in both. */
export function knownAuthorities(): readonly string[] {
  return [...getCACertificates('default'), ...getCACertificates('system')];
}
