import {BlockList, isIP} from 'node:net';
import {hostnameOf} from './origin.ts';

/** Whether a host is reached without the proxy; `port` is always given, as text. */
export type Bypass = (hostname: string, port: string) => boolean;

/**
 * Reads NO_PROXY the way Go's clients do (golang.org/x/net/http/httpproxy): `example.com` means the host and what is
 * below it, `.example.com` and `*.example.com` only what is below; an address or a network in CIDR form means
 * addresses (names are not resolved); a port, where given, must be the same; `*` means every host. Entries stand
 * between commas or white space; those that make no sense are ignored.
 */
export function parseNoProxy(text: string): Bypass {
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
