import {BlockList, isIPv4, isIPv6} from 'node:net';

/** TLS options of one origin. Absent members mean Node's defaults. */
export interface ConnectOptions {
  /** PEM certificates that are trusted, in place of Node's own list. */
  readonly ca?: readonly (string | Buffer)[];
  /** The client's certificates, PEM, each with the key at the same place of `key`. */
  readonly cert?: readonly (string | Buffer)[];
  readonly key?: readonly (string | Buffer)[];
  /** False: any certificate is accepted (`--insecure`). */
  readonly rejectUnauthorized?: boolean;
}

/** Connection settings per origin, which is `scheme://host[:port]` as in `URL.origin`. */
export interface OriginSettings {
  /**
   * Called once for each `https:` origin, before its first connection. Origins with the same object share one TLS
   * context.
   * @throws TransshipError TLS_FILE_INVALID
   */
  connectOptions(origin: string): Promise<ConnectOptions>;
  /** The URL of the proxy for this origin; undefined: none. */
  proxyFor(origin: string): string | undefined;
  /** Whether unsafe redirects from this `host[:port]` are allowed (see `resolveHop`). Default: never. */
  readonly allowsUnsafeRedirects?: (host: string) => boolean;
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

/** Whether this name or address always means this machine: docker uses plain HTTP for these by default. */
export function isLoopback(hostname: string): boolean {
  return addressKind(hostname) === 'loopback';
}

/** The kinds of addresses that are not public. `reserved`: not assigned to any server. */
export type AddressKind = 'loopback' | 'link-local' | 'private' | 'reserved';

/**
 * The kind of an address; undefined: a public address, or a name. Names are not resolved, but `localhost` names (RFC
 * 6761, section 6.3) are loopback. An IPv6 address that embeds an IPv4 address has the kind of that address. Of
 * embedded loopback addresses, only a mapped one means this machine; packets to the others are sent to a gateway.
 */
export function addressKind(hostname: string): AddressKind | undefined {
  const name = hostname.toLowerCase().replace(/\.$/, '');
  if (name === 'localhost' || name.endsWith('.localhost')) return 'loopback';
  if (isIPv4(name)) return kindOf(name, 'ipv4');
  if (!isIPv6(name)) return undefined;
  const kind = kindOf(name, 'ipv6');
  const embedded = embeddedIPv4(wordsOf(name));
  if (kind !== undefined || embedded === undefined) return kind;
  const within = kindOf(embedded.address, 'ipv4');
  return within === 'loopback' && !embedded.isMapped ? 'reserved' : within;
}

/** The addresses that no public server has, according to the IANA special-purpose address registries (RFC 6890). */
const SUBNETS: readonly (readonly [AddressKind, 'ipv4' | 'ipv6', readonly string[]])[] = [
  // A connection to the unspecified address is one to this machine (Linux: ip(7), INADDR_ANY).
  ['loopback', 'ipv4', ['127.0.0.0/8', '0.0.0.0/32']],
  ['loopback', 'ipv6', ['::1/128', '::/128']],
  // The metadata services of clouds are at 169.254.169.254, and at these addresses of AWS, Google, Alibaba, Oracle,
  // Azure.
  [
    'link-local',
    'ipv4',
    ['169.254.0.0/16', '100.100.100.200/32', '192.0.0.192/32', '168.63.129.16/32'],
  ],
  ['link-local', 'ipv6', ['fe80::/10', 'fd00:ec2::254/128', 'fd20:ce::254/128']],
  [
    'private',
    'ipv4',
    [
      '0.0.0.0/8',
      '10.0.0.0/8',
      '100.64.0.0/10',
      '172.16.0.0/12',
      '192.0.0.0/24',
      '192.168.0.0/16',
      '198.18.0.0/15',
      '224.0.0.0/3',
    ],
  ],
  // NAT64 within one network (RFC 8215), site-local (RFC 3879), unique local (RFC 4193), multicast.
  ['private', 'ipv6', ['64:ff9b:1::/48', 'fc00::/7', 'fec0::/10', 'ff00::/8']],
  // Discard-only (RFC 6666), Teredo (RFC 4380).
  ['reserved', 'ipv6', ['100::/64', '2001::/32']],
];

function kindOf(address: string, family: 'ipv4' | 'ipv6'): AddressKind | undefined {
  return blockLists().find(([, list]) => list.check(address, family))?.[0];
}

let lists: readonly (readonly [AddressKind, BlockList])[] | undefined;

/** Created on first use: most runs use host names only. */
function blockLists() {
  lists ??= SUBNETS.map(([kind, family, subnets]): readonly [AddressKind, BlockList] => {
    const list = new BlockList();
    for (const subnet of subnets) {
      const [network = '', prefix] = subnet.split('/');
      list.addSubnet(network, Number(prefix), family);
    }
    return [kind, list];
  });
  return lists;
}

/** The eight words of an IPv6 address. */
function wordsOf(address: string): readonly number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const [, head = '', ...bytes] = dotted ?? [];
  const [a = 0, b = 0, c = 0, d = 0] = bytes.map(Number);
  const text = dotted
    ? `${head}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
    : address;
  const [left = [], right = []] = text.split('::').map((half) =>
    half
      .split(':')
      .filter(Boolean)
      .map((word) => Number.parseInt(word, 16)),
  );
  return [...left, ...Array<number>(Math.max(0, 8 - left.length - right.length)).fill(0), ...right];
}

/** An IPv4 address in an IPv6 address. */
interface EmbeddedIPv4 {
  readonly address: string;
  /** The operating system connects to the IPv4 address itself (RFC 4291, section 2.5.5.2). */
  readonly isMapped: boolean;
}

/** The six words before the IPv4 address: compatible (RFC 4291), mapped, translated (RFC 2765), NAT64 (RFC 6052). */
const MAPPED = '0:0:0:0:0:ffff';
const PREFIXES = ['0:0:0:0:0:0', MAPPED, '0:0:0:0:ffff:0', '64:ff9b:0:0:0:0'];
/** The first word of 6to4 (RFC 3056); the IPv4 address follows. */
const SIX_TO_FOUR = 0x2002;

/** The IPv4 address that an IPv6 address embeds; undefined: none. */
function embeddedIPv4(words: readonly number[]): EmbeddedIPv4 | undefined {
  const prefix = words
    .slice(0, 6)
    .map((word) => word.toString(16))
    .join(':');
  const at = PREFIXES.includes(prefix) ? 6 : words[0] === SIX_TO_FOUR ? 1 : undefined;
  if (at === undefined) return undefined;
  const [high = 0, low = 0] = words.slice(at);
  const address = `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  return {address, isMapped: prefix === MAPPED};
}
