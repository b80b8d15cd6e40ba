import {createSecureContext, getCACertificates, type SecureContext} from 'node:tls';
import type {HostSet} from './host-set.ts';
import type {ConnectOptions, OriginSettings} from './origin.ts';
import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {TransshipError} from '../model/error.ts';
import {createPrivateKey, X509Certificate} from 'node:crypto';
import {readRegular} from './regular-file.ts';

/** Where the certificates of this run come from. */
export interface TlsFiles {
  /** `--ca-file`: authorities trusted for every host, besides the system's. */
  readonly caFile?: string;
  /** Directories with one directory per host, see `certsDirs`. */
  readonly certsDirs: readonly string[];
  /** `--insecure`: hosts whose certificate is not checked. */
  readonly insecure: HostSet;
}

/** Trusted authorities, in PEM form. */
interface Trusted {
  readonly ca: readonly string[];
}

/** The TLS settings that all connections to one origin share. */
export interface SecureOptions {
  readonly secureContext?: SecureContext;
  readonly rejectUnauthorized?: boolean;
}

const made = new WeakMap<ConnectOptions, SecureOptions>();

/** One context for all origins with the same options: parsing hundreds of authorities takes time. */
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
 * Determines the TLS options of an origin. Trusted are Node's authorities, those of the operating system, `--ca-file`
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

/**
 * The names under which a host may have a directory in `certs.d`: with or without the default port; Docker Hub has two.
 */
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

/** The contents of a host's directory in `certs.d`. */
export interface HostCertificates {
  /** Authorities to be trusted besides the system's. */
  readonly authorities: readonly string[];
  readonly clients: readonly KeyPair[];
}

/**
 * The `certs.d` directories of docker and podman (containers-certs.d(5)), the user's own first.
 * @param home the home directory; undefined: the user has none
 */
export function certsDirs(home: string | undefined): readonly string[] {
  return [
    ...(home === undefined ? [] : [join(home, '.config/containers/certs.d')]),
    '/etc/containers/certs.d',
    '/etc/docker/certs.d',
  ];
}

/**
 * Reads the first directory that exists for one of the host's names: `*.crt` are authorities, `*.cert` with `*.key`
 * client certificates. As with docker, an incomplete pair is an error.
 * @param hosts the names under which the host may have a directory, as `host[:port]`, the most likely first
 * @throws TransshipError TLS_FILE_INVALID
 */
async function readCertsDir(
  dirs: readonly string[],
  hosts: readonly string[],
): Promise<HostCertificates> {
  for (const directory of dirs.flatMap((dir) => hosts.map((host) => join(dir, host)))) {
    const names = await list(directory);
    if (names) return readDirectory(directory, names);
  }
  return {authorities: [], clients: []};
}

async function readDirectory(
  directory: string,
  names: readonly string[],
): Promise<HostCertificates> {
  const authorities: string[] = [];
  const clients: KeyPair[] = [];
  for (const name of names) {
    const file = join(directory, name);
    if (name.endsWith('.crt')) authorities.push(...(await readCertificates(file)));
    if (name.endsWith('.cert')) {
      requireOther(directory, names, name, `${name.slice(0, -'.cert'.length)}.key`);
      clients.push(await readKeyPair(file, file.replace(/\.cert$/, '.key')));
    }
    if (name.endsWith('.key')) {
      requireOther(directory, names, name, `${name.slice(0, -'.key'.length)}.cert`);
    }
  }
  return {authorities, clients};
}

/** The names in a directory, sorted; undefined if it does not exist or is not accessible (as with docker). */
async function list(directory: string): Promise<readonly string[] | undefined> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(code ?? '')) return undefined;
    throw new TransshipError('TLS_FILE_INVALID', `${directory} cannot be read (${code})`, {
      side: 'local',
      hint: 'make the directory readable, or move it elsewhere',
      cause: error,
    });
  }
}

function requireOther(
  directory: string,
  names: readonly string[],
  one: string,
  other: string,
): void {
  if (names.includes(other)) return;
  throw new TransshipError(
    'TLS_FILE_INVALID',
    `found ${join(directory, one)} but no matching ${other}`,
    {
      side: 'local',
      hint: 'a client certificate needs both a .cert and a .key; an authority must end in .crt',
    },
  );
}

/** A bundle of all public authorities is about 250 KB. */
const FILE_LIMIT = 8 * 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** A client's certificate chain and its key, PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/**
 * Reads and parses the certificates of a PEM file.
 * @throws TransshipError TLS_FILE_INVALID
 */
async function readCertificates(file: string): Promise<readonly string[]> {
  const blocks = (await readPem(file)).match(CERTIFICATE) ?? [];
  if (blocks.length === 0) throw invalid(file, 'has no certificate in PEM form');
  for (const block of blocks) parseCertificate(file, block);
  return blocks;
}

/**
 * Reads a client's certificate and its key, and checks that they belong together.
 * @throws TransshipError TLS_FILE_INVALID
 */
async function readKeyPair(certFile: string, keyFile: string): Promise<KeyPair> {
  const chain = await readCertificates(certFile);
  const key = await readPem(keyFile);
  const leaf = parseCertificate(certFile, chain[0] ?? '');
  if (!leaf.checkPrivateKey(parseKey(keyFile, key))) {
    throw invalid(keyFile, `is not the key of the certificate in ${certFile}`);
  }
  return {cert: chain.join('\n'), key};
}

async function readPem(file: string): Promise<string> {
  try {
    return (await readRegular(file, FILE_LIMIT)).toString();
  } catch (error) {
    const {code, message} = error as NodeJS.ErrnoException;
    throw invalid(file, code === undefined ? message : `cannot be read (${code})`, error);
  }
}

function parseCertificate(file: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw invalid(file, 'has a certificate that cannot be parsed', error);
  }
}

/** OpenSSL's error is not passed on as the cause: no part of a key may reach a log. */
function parseKey(file: string, pem: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(pem);
  } catch {
    const encrypted = pem.includes('ENCRYPTED');
    throw invalid(
      file,
      encrypted
        ? 'is protected by a passphrase; write it without one, readable by you alone'
        : 'has no private key in PEM form',
    );
  }
}

function invalid(file: string, why: string, cause?: unknown): TransshipError {
  return new TransshipError('TLS_FILE_INVALID', `${file} ${why}`, {
    side: 'local',
    hint: 'use files in PEM form: authorities as .crt, client certificates as .cert with their .key beside them',
    cause,
  });
}
