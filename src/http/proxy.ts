import {TransshipError} from '../model/error.ts';
import {hostnameOf, isLoopback, type OriginSettings} from './origin.ts';
import type {Redactor} from './redaction.ts';
import {BlockList, isIP} from 'node:net';

/**
 * Chooses the proxy of an origin from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY. As Go's clients (docker, skopeo,
 * crane) do: the upper-case name wins over the lower-case one, an empty value is none, a URL without a scheme is
 * `http://`, and loopback addresses are never accessed through a proxy. ALL_PROXY, as in curl, is the fallback for the
 * first two. The user name and password in a URL are registered with the redactor.
 * @throws TransshipError USAGE, immediately: an invalid proxy setting must not be bypassed
 */
export function proxyFromEnvironment(
  env: Environment,
  redactor: Redactor,
): OriginSettings['proxyFor'] {
  const proxies = {
    'https:': readProxy(env, ['HTTPS_PROXY', 'ALL_PROXY'], redactor),
    'http:': readProxy(env, ['HTTP_PROXY', 'ALL_PROXY'], redactor),
  } as const;
  const bypass = parseNoProxy(lookUp(env, ['NO_PROXY'])?.value ?? '');
  return (origin) => {
    const {protocol, host, port} = new URL(origin);
    const secure = protocol === 'https:';
    const hostname = hostnameOf(host);
    if (isLoopback(hostname) || bypass(hostname, port || (secure ? '443' : '80'))) return undefined;
    return proxies[secure ? 'https:' : 'http:'];
  };
}

function lookUp(
  env: Environment,
  names: readonly string[],
): {name: string; value: string} | undefined {
  for (const name of names.flatMap((upper) => [upper, upper.toLowerCase()])) {
    const value = env[name]?.trim();
    if (value) return {name, value};
  }
  return undefined;
}

function readProxy(
  env: Environment,
  names: readonly string[],
  redactor: Redactor,
): string | undefined {
  const found = lookUp(env, names);
  if (!found) return undefined;
  const text = found.value.includes('://') ? found.value : `http://${found.value}`;
  const url = URL.parse(text);
  const login = url && loginOf(url);
  if (!login || !/^https?:$/.test(url.protocol)) {
    // In an invalid URL, the password may end at any "@", so only the text after the last one is shown.
    const shown = found.value.replace(/^(\w+:\/\/)?.*@/s, '$1***@');
    throw new TransshipError('USAGE', `${found.name}="${shown}" is not the URL of a proxy`, {
      side: 'local',
      hint: 'write http://host:port or https://host:port (SOCKS is not supported), with special characters of a password percent-encoded',
    });
  }
  if (login.password !== '') redactor.learnBasic(login.username, login.password);
  return url.href;
}

/** User name and password without percent-encoding; undefined: the encoding is invalid. */
function loginOf(url: URL): {username: string; password: string} | undefined {
  try {
    return {username: decodeURIComponent(url.username), password: decodeURIComponent(url.password)};
  } catch {
    return undefined;
  }
}

/** Whether a host is reached without the proxy. */
type Bypass = (hostname: string, port: string) => boolean;

/**
 * Reads NO_PROXY as Go's clients do (golang.org/x/net/http/httpproxy): `example.com` matches the host and its
 * subdomains, `.example.com` and `*.example.com` only the subdomains; an address or a network in CIDR form matches
 * addresses (names are not resolved); a port, if given, must be equal; `*` matches every host. Entries are separated by
 * commas or white space; invalid entries are ignored.
 */
function parseNoProxy(text: string): Bypass {
  const rules = text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map((entry) => (entry === '*' ? () => true : (networkRule(entry) ?? hostRule(entry))));
  return (hostname, port) => {
    const name = hostname.toLowerCase().replace(/\.$/, '');
    return rules.some((rule) => rule(name, port));
  };
}

function networkRule(entry: string): Bypass | undefined {
  const match = /^([\d.]+|[\da-f:.]*:[\da-f:.]*)\/(\d{1,3})$/.exec(entry);
  if (!match) return undefined;
  const [, address = '', digits = ''] = match;
  const version = isIP(address);
  const prefix = Number(digits);
  if (version === 0 || prefix > (version === 4 ? 32 : 128)) return () => false;
  const list = new BlockList();
  list.addSubnet(address, prefix, family(version));
  return (name) => contains(list, name);
}

function hostRule(entry: string): Bypass {
  const host = hostnameOf(entry);
  const port = /^(?:\[.*\]|[^:]*):(\d+)$/.exec(entry)?.[1];
  const samePort: (actual: string) => boolean = (actual) => port === undefined || actual === port;
  const version = isIP(host);
  if (version !== 0) {
    const list = new BlockList();
    list.addAddress(host, family(version));
    return (name, actual) => contains(list, name) && samePort(actual);
  }
  const suffix = host.replace(/^\*?\./, '');
  if (suffix === '') return () => false;
  const belowOnly = suffix !== host;
  return (name, actual) =>
    samePort(actual) && (name.endsWith(`.${suffix}`) || (!belowOnly && name === suffix));
}

function contains(list: BlockList, name: string): boolean {
  const version = isIP(name);
  return version !== 0 && list.check(name, family(version));
}

function family(version: number): 'ipv4' | 'ipv6' {
  return version === 4 ? 'ipv4' : 'ipv6';
}

/** Environment variables by name. An empty value counts as not set. */
export type Environment = Readonly<Record<string, string | undefined>>;
