// Loaded only where an origin speaks TLS: node:tls takes 10 ms to load.
import {isIP} from 'node:net';
import {connect, createSecureContext, getCACertificates, type SecureContext} from 'node:tls';
import {type Dial, socketOptions, targetOf} from './dial.ts';
import {readInto} from './early-sockets.ts';
import type {ConnectOptions} from './origin.ts';

/** What connections over TLS to one origin have in common. */
export interface SecureOptions {
  readonly secureContext: SecureContext;
  readonly rejectUnauthorized?: boolean;
}

const made = new WeakMap<ConnectOptions, SecureOptions>();

/** One context for all origins with these very options: to read some hundred authorities costs 12 ms each time. */
export function secureOptions(options: ConnectOptions): SecureOptions {
  const secure = made.get(options) ?? makeSecureOptions(options);
  made.set(options, secure);
  return secure;
}

function makeSecureOptions({ca, cert, key, rejectUnauthorized}: ConnectOptions): SecureOptions {
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
  const target = targetOf(origin);
  const options = {
    ...secure,
    // What a certificate has to be for; over a socket that is given, Node would take it for `localhost`.
    host: target.host,
    ALPNProtocols: ['http/1.1'],
    // An address is no server name (RFC 6066, section 3).
    ...(isIP(target.host) ? {} : {servername: target.host}),
  };
  return {
    // Node heeds `onread` only where it makes the socket itself.
    open: (onread, over) =>
      over === undefined
        ? connect({...socketOptions(target, onread), ...options})
        : readInto(connect({...options, socket: over}), onread),
    ready: 'secureConnect',
    overruns: true,
  };
}

/** Node's authorities and those of the operating system, PEM; some are in both. */
export function knownAuthorities(): readonly string[] {
  return [...getCACertificates('default'), ...getCACertificates('system')];
}
