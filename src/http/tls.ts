import {createSecureContext, getCACertificates, type SecureContext} from 'node:tls';
import {readCertsDir} from './certs-dir.ts';
import type {HostSet} from './host-set.ts';
import type {ConnectOptions, OriginSettings} from './origin.ts';
import {readCertificates} from './pem.ts';

/** Where the certificates of this run come from. */
export interface TlsFiles {
  /** `--ca-file`: authorities trusted for every host, besides the system's. */
  readonly caFile?: string;
  /** Folders with one folder per host, see `certsDirs`. */
  readonly certsDirs: readonly string[];
  /** `--insecure`: hosts whose certificate is not checked. */
  readonly insecure: HostSet;
}

/** PEM. */
interface Trusted {
  readonly ca: readonly string[];
}

/** What connections over TLS to one origin have in common. */
export interface SecureOptions {
  readonly secureContext?: SecureContext;
  readonly rejectUnauthorized?: boolean;
}

const made = new WeakMap<ConnectOptions, SecureOptions>();

/** One context for all origins with these very options: it takes a while to read some hundred authorities. */
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

/**
 * Finds out how to speak TLS with an origin. Trusted are Node's authorities, those of the operating system, `--ca-file`
 * and the `.crt` files of the host. Files are read when the first origin needs them, and `--ca-file` once.
 */
export function tlsFromFiles(files: TlsFiles): OriginSettings['connectOptions'] {
  let common: Promise<Trusted> | undefined;
  return async (origin) => {
    const {host} = new URL(origin);
    const {authorities, clients} = await readCertsDir(files.certsDirs, namesOf(host));
    const client: ConnectOptions =
      clients.length === 0
        ? {}
        : {cert: clients.map((pair) => pair.cert), key: clients.map((pair) => pair.key)};
    if (files.insecure.has(host)) return {...client, rejectUnauthorized: false};
    common ??= trustedEverywhere(files.caFile);
    const trusted = await common;
    if (clients.length === 0 && authorities.length === 0) return trusted;
    return {...client, ca: [...trusted.ca, ...authorities]};
  };
}

/** A folder of `certs.d` may name the port that URLs leave out, and Docker Hub goes by two names. */
function namesOf(host: string): readonly string[] {
  const names = host === 'registry-1.docker.io' ? ['docker.io', host] : [host];
  return /:\d+$/.test(host) ? names : names.flatMap((name) => [name, `${name}:443`]);
}

async function trustedEverywhere(caFile: string | undefined): Promise<Trusted> {
  const named = caFile === undefined ? [] : await readCertificates(caFile);
  const known = [...getCACertificates('default'), ...getCACertificates('system')];
  // Most authorities are in both lists; each one costs time whenever a TLS context is made.
  return {ca: [...new Set([...known, ...named])]};
}
