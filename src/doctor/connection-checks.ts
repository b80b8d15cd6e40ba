import {lookup} from 'node:dns/promises';
import {isIP} from 'node:net';
import {connect, type DetailedPeerCertificate, type PeerCertificate} from 'node:tls';
import {hostnameOf, isLoopback, type OriginSettings} from '../http/origin.ts';
import {secureOptions} from '../http/tls.ts';
import {attempted, failed, type Finding, passed, warned} from './examination.ts';

const DAY_MS = 86_400_000;
/** Before it, a certificate is as good as expired: somebody has to renew it. */
const SOON_DAYS = 14;
const HANDSHAKE_MS = 15_000;

/** The machine's side: name, proxy, certificate. */
export async function checkConnection(
  url: URL,
  settings: Pick<OriginSettings, 'connectOptions' | 'proxyFor'>,
  now: Date,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const proxy = settings.proxyFor(url.origin);
  const hostname = hostnameOf(url.host);
  const scheme =
    url.protocol === 'https:'
      ? []
      : isLoopback(hostname)
        ? [passed('tls', 'HTTP without TLS, on this machine')]
        : [
            warned(
              'tls',
              'HTTP without TLS',
              'logins and images can be read and changed on the way',
            ),
          ];
  if (proxy !== undefined) {
    return [passed('proxy', `requests go through the proxy ${new URL(proxy).host}`), ...scheme];
  }
  const names = await checkName(hostname);
  const isFound = names.every(({result}) => result !== 'fail');
  const isTls = url.protocol === 'https:';
  const tls =
    isFound && isTls
      ? await attempted('tls', signal, () => checkCertificate(url, settings, now, signal))
      : scheme;
  return [...names, ...tls];
}

async function checkName(hostname: string): Promise<readonly Finding[]> {
  if (isIP(hostname) !== 0) return [];
  try {
    const found = await lookup(hostname, {all: true});
    return [passed('name', `${hostname} is ${found.map(({address}) => address).join(', ')}`)];
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    return [
      failed(
        'name',
        `${hostname} cannot be looked up: ${why}`,
        'check the spelling, the DNS server, and whether a proxy is needed (HTTPS_PROXY)',
      ),
    ];
  }
}

async function checkCertificate(
  url: URL,
  {connectOptions}: Pick<OriginSettings, 'connectOptions'>,
  now: Date,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const hostname = hostnameOf(url.host);
  const secure = secureOptions(await connectOptions(url.origin));
  const {certificate, chain, why, protocol} = await handshake(url, hostname, secure, signal);
  if (certificate === undefined)
    return [
      failed(
        'tls',
        `no TLS connection: ${why ?? 'no certificate'}`,
        'check host and port, or use --plain-http if this registry has no TLS',
      ),
    ];
  const expires = Math.min(...chain.map(({valid_to}) => Date.parse(valid_to)));
  const days = Math.floor((expires - now.getTime()) / DAY_MS);
  const issuer = String(certificate.issuer?.O ?? certificate.issuer?.CN ?? 'an unknown authority');
  const sent = chain.length === 1 ? 'sent alone' : `in a chain of ${chain.length}`;
  const what = `${protocol ?? 'TLS'}, certificate of ${issuer}, ${sent}, valid until ${new Date(expires).toISOString().slice(0, 10)}`;
  if (why !== undefined) {
    return [
      failed(
        'tls',
        `${what}, is not trusted: ${why}`,
        why === 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'
          ? 'the server sends no certificates between its own and a known authority: have its administrator add them, or pass them with --ca-file FILE'
          : 'pass the certificate of its authority with --ca-file FILE, or put it into /etc/docker/certs.d/HOST/ca.crt',
      ),
    ];
  }
  return [
    days < SOON_DAYS
      ? warned('tls', `${what}: ${days} days`, 'have it renewed')
      : passed('tls', what),
  ];
}

interface Handshake {
  readonly certificate: PeerCertificate | undefined;
  /** It, and those of its authorities, as far as they are known, in this order. */
  readonly chain: readonly PeerCertificate[];
  /** Why it is not trusted, or there is none. */
  readonly why: string | undefined;
  readonly protocol: string | undefined;
}

/** Looks at the certificate whether it is trusted or not. Nothing is sent. */
function handshake(
  url: URL,
  hostname: string,
  {secureContext}: ReturnType<typeof secureOptions>,
  signal: AbortSignal,
): Promise<Handshake> {
  const {promise, resolve, reject} = Promise.withResolvers<Handshake>();
  const socket = connect({
    host: hostname,
    port: Number(url.port || 443),
    ...(isIP(hostname) === 0 ? {servername: hostname} : {}),
    ...(secureContext ? {secureContext} : {}),
    rejectUnauthorized: false,
    timeout: HANDSHAKE_MS,
  });
  const end = (result: Handshake): void => {
    socket.destroy();
    resolve(result);
  };
  const none = (why: string): void =>
    end({certificate: undefined, chain: [], why, protocol: undefined});
  socket.once('secureConnect', () => {
    const certificate = socket.getPeerCertificate(true);
    const why = socket.authorized ? undefined : String(socket.authorizationError);
    end({
      certificate: Object.keys(certificate).length === 0 ? undefined : certificate,
      chain: chainOf(certificate),
      why,
      protocol: socket.getProtocol() ?? undefined,
    });
  });
  socket.once('error', (error) => none(error.message));
  socket.once('timeout', () => none('no answer'));
  signal.addEventListener(
    'abort',
    () => {
      socket.destroy();
      reject(signal.reason);
    },
    {once: true},
  );
  return promise;
}

/** More certificates than any chain has. */
const CHAIN_LIMIT = 10;

/** The root is its own issuer. */
function chainOf(certificate: DetailedPeerCertificate): readonly PeerCertificate[] {
  const chain: DetailedPeerCertificate[] = [];
  let at: DetailedPeerCertificate | undefined = certificate;
  while (at?.valid_to !== undefined && !chain.includes(at) && chain.length < CHAIN_LIMIT) {
    chain.push(at);
    at = at.issuerCertificate;
  }
  return chain;
}
