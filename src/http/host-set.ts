import {TransshipError} from '../model/error.ts';
import {canonicalRegistry} from '../model/reference.ts';

/** The default port of a flag's hosts, which may be omitted. */
const DEFAULT_PORTS = {
  '--allow-unsafe-redirects': ':443',
  '--insecure': ':443',
  '--plain-http': ':80',
} as const;

/**
 * The hosts that a repeatable flag names, each `host[:port]`. A host without a port means only the default port, so
 * that a flag never affects more than it names.
 */
export class HostSet {
  readonly #hosts: ReadonlySet<string>;
  readonly #defaultPort: string;

  /** @throws TransshipError USAGE */
  constructor(flag: keyof typeof DEFAULT_PORTS, values: readonly string[]) {
    this.#defaultPort = DEFAULT_PORTS[flag];
    for (const value of values) checkHost(flag, value);
    this.#hosts = new Set(values.map((value) => this.#name(value)));
  }

  /** `host` is the host of a reference or of a URL; Docker Hub may go by any of its names. */
  has(host: string): boolean {
    return this.#hosts.has(this.#name(host));
  }

  #name(host: string): string {
    const name = host.endsWith(this.#defaultPort) ? host.slice(0, -this.#defaultPort.length) : host;
    return canonicalRegistry(name);
  }
}

function checkHost(flag: string, value: string): void {
  if (/^[^\s/?#@\\]+$/.test(value) && URL.canParse(`https://${value}`)) return;
  throw new TransshipError('USAGE', `${flag}: "${value}" is not a host`, {
    side: 'local',
    hint: 'write host or host:port, without https:// and without a path',
  });
}
