import {isIPv4, isIPv6} from 'node:net';

/** How to speak TLS with one origin. Absent members mean Node's defaults. */
export interface ConnectOptions {
  /** PEM certificates that are trusted, in place of Node's own list. */
  readonly ca?: readonly (string | Buffer)[];
  /** The client's certificates, PEM, each with the key at the same place of `key`. */
  readonly cert?: readonly (string | Buffer)[];
  readonly key?: readonly (string | Buffer)[];
  /** False: any certificate will do (`--insecure`). */
  readonly rejectUnauthorized?: boolean;
}

/** What the user set for single hosts; an origin is `scheme://host[:port]`, as `URL.origin` writes it. */
export interface OriginSettings {
  /**
   * Asked once for each `https:` origin, before its first connection. Origins that are given the same object share what
   * is made of it.
   * @throws TransshipError TLS_FILE_INVALID
   */
  connectOptions(origin: string): Promise<ConnectOptions>;
  /** The URL of the proxy for this origin; undefined: none. */
  proxyFor(origin: string): string | undefined;
}

/** Node's defaults and no proxy. */
export const DEFAULT_ORIGIN_SETTINGS: OriginSettings = {
  connectOptions: () => Promise.resolve({}),
  proxyFor: () => undefined,
};

/** The host of `host[:port]`, without the brackets of an IPv6 address. */
export function hostnameOf(host: string): string {
  if (host.startsWith('[')) return host.slice(1, Math.max(host.indexOf(']'), 1));
  const colon = host.indexOf(':');
  return colon < 0 || host.indexOf(':', colon + 1) > 0 ? host : host.slice(0, colon);
}

/** Whether this name or address always means this machine: docker speaks plain HTTP with these unasked. */
export function isLoopback(hostname: string): boolean {
  const name = hostname.toLowerCase().replace(/\.$/, '');
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  if (isIPv4(name)) return name.startsWith('127.');
  return (
    isIPv6(name) && (name === '::1' || /^(?:0*:)*:?0*1$/.test(name) || isMapped(name, /^127\./))
  );
}

/**
 * Whether an address belongs to a private, link-local or loopback network, the ones that a public server has no
 * business to send us to (RFC 1918, 3927, 4193, 4291, 6598). Names are not resolved: only addresses and loopback names.
 */
export function isPrivateAddress(hostname: string): boolean {
  const name = hostname.toLowerCase();
  if (isLoopback(name)) return true;
  if (isIPv4(name)) return PRIVATE_IPV4.test(name);
  return isIPv6(name) && (/^(?:::$|f[cd]|fe[89ab])/.test(name) || isMapped(name, PRIVATE_IPV4));
}

const PRIVATE_IPV4 =
  /^(?:0|10|127|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./;

/** An IPv4 address in IPv6 form, as `URL` writes it: `::ffff:7f00:1`. */
function isMapped(name: string, pattern: RegExp): boolean {
  const dotted = /^::ffff:([\d.]+)$/.exec(name)?.[1];
  if (dotted !== undefined) return pattern.test(dotted);
  const words = /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/.exec(name);
  if (!words) return false;
  const [high, low] = [Number.parseInt(words[1] ?? '', 16), Number.parseInt(words[2] ?? '', 16)];
  return pattern.test(`${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`);
}
