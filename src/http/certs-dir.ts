import {readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {TransshipError} from '../model/error.ts';
import {type KeyPair, readCertificates, readKeyPair} from './pem.ts';

/** What a host's folder in `certs.d` holds. */
export interface HostCertificates {
  /** Authorities to be trusted besides the system's. */
  readonly authorities: readonly string[];
  readonly clients: readonly KeyPair[];
}

/**
 * Where docker and podman look for `certs.d` (containers-certs.d(5)); the user's own first.
 * `home` is absent where the user has none.
 */
export function certsDirs(home: string | undefined): readonly string[] {
  return [
    ...(home === undefined ? [] : [join(home, '.config/containers/certs.d')]),
    '/etc/containers/certs.d',
    '/etc/docker/certs.d',
  ];
}

/**
 * Reads the first folder that exists for one of the host's names: `*.crt` are authorities, `*.cert` with `*.key`
 * client certificates. As with docker, a half pair is an error.
 * @param hosts the names under which the host may have a folder, as `host[:port]`, the likeliest first
 * @throws TransshipError TLS_FILE_INVALID
 */
export async function readCertsDir(
  dirs: readonly string[],
  hosts: readonly string[],
): Promise<HostCertificates> {
  for (const folder of dirs.flatMap((dir) => hosts.map((host) => join(dir, host)))) {
    const names = await list(folder);
    if (names) return readFolder(folder, names);
  }
  return {authorities: [], clients: []};
}

async function readFolder(folder: string, names: readonly string[]): Promise<HostCertificates> {
  const authorities: string[] = [];
  const clients: KeyPair[] = [];
  for (const name of names) {
    const file = join(folder, name);
    if (name.endsWith('.crt')) authorities.push(...(await readCertificates(file)));
    if (name.endsWith('.cert')) {
      requireOther(folder, names, name, `${name.slice(0, -'.cert'.length)}.key`);
      clients.push(await readKeyPair(file, file.replace(/\.cert$/, '.key')));
    }
    if (name.endsWith('.key')) {
      requireOther(folder, names, name, `${name.slice(0, -'.key'.length)}.cert`);
    }
  }
  return {authorities, clients};
}

/** The names in a folder, sorted; undefined where there is none, or none for us to see (as with docker). */
async function list(folder: string): Promise<readonly string[] | undefined> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(code ?? '')) return undefined;
    throw new TransshipError('TLS_FILE_INVALID', `${folder} cannot be read (${code})`, {
      side: 'local',
      hint: 'make the folder readable, or move it away',
      cause: error,
    });
  }
}

function requireOther(folder: string, names: readonly string[], one: string, other: string): void {
  if (names.includes(other)) return;
  throw new TransshipError(
    'TLS_FILE_INVALID',
    `found ${join(folder, one)} but no matching ${other}`,
    {
      side: 'local',
      hint: 'a client certificate needs both a .cert and a .key; an authority must end in .crt',
    },
  );
}
