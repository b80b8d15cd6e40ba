import {createWriteStream} from 'node:fs';
import {pipeline} from 'node:stream/promises';
import {Client} from 'undici';
import {TransshipError} from '../model/error.ts';
import {onAbort} from './abort.ts';
import type {Environment} from './proxy.ts';

const DEFAULT_ADDRESS = 'unix:///var/run/docker.sock';

/** How long a daemon may take to begin its answer, in ms: Docker before 25 writes a whole image to its disk first. */
const HEADERS_MS = 30 * 60_000;
/** How long it may send nothing, in ms. */
const IDLE_MS = 5 * 60_000;
/** Bytes of an error message that are read. */
const MESSAGE_LIMIT = 16 * 1024;

/** Where a daemon with the Engine API of Docker listens, such as podman's. */
export interface DaemonAddress {
  /** As it was given, for messages. */
  readonly name: string;
  readonly origin: string;
  /** Absent: TCP. */
  readonly socketPath?: string;
}

/**
 * Where the daemon is, as docker finds it (docs.docker.com, "Daemon socket option"): `DOCKER_HOST`, or docker's socket.
 * @throws TransshipError TRANSPORT_UNSUPPORTED for SSH, named pipes and TLS
 */
export function daemonAddress(env: Environment): DaemonAddress {
  const name = env['DOCKER_HOST'] || DEFAULT_ADDRESS;
  const [, scheme, rest = ''] = /^([a-z]+):\/\/(.*)$/.exec(name) ?? [];
  if (scheme === 'unix' && rest !== '') return {name, origin: 'http://docker', socketPath: rest};
  const url = scheme === 'tcp' || scheme === 'http' ? URL.parse(`http://${rest}`) : null;
  const isSecure = Boolean(env['DOCKER_TLS_VERIFY'] || env['DOCKER_TLS']);
  if (url !== null && !isSecure && url.pathname === '/' && url.username === '')
    return {name, origin: url.port === '' ? `${url.origin}:2375` : url.origin};
  throw new TransshipError(
    'TRANSPORT_UNSUPPORTED',
    `transship cannot connect to the daemon at DOCKER_HOST=${shown(name)}${isSecure ? ' with TLS' : ''}`,
    {
      side: 'local',
      hint:
        scheme === 'ssh'
          ? `forward its socket: ssh -N -L /tmp/docker.sock:/var/run/docker.sock ${shown(rest)}, then set DOCKER_HOST=unix:///tmp/docker.sock`
          : 'set DOCKER_HOST to unix:///path/to/docker.sock or tcp://host:port, or save the image: docker save NAME > FILE',
    },
  );
}

/**
 * Writes the answer of a GET request to a daemon into a new file.
 * @returns undefined: done; else the daemon's words for why it does not have what was asked for (404)
 * @throws TransshipError CONNECTION_FAILED, TIMEOUT, FORBIDDEN, RESPONSE_INVALID
 */
export async function downloadFromDaemon(
  address: DaemonAddress,
  path: string,
  file: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const {origin, socketPath} = address;
  const client = new Client(origin, {
    headersTimeout: HEADERS_MS,
    bodyTimeout: IDLE_MS,
    ...(socketPath === undefined ? {} : {socketPath}),
  });
  const end = (): void => void client.destroy(signal.reason as Error).catch(() => undefined);
  const forget = onAbort(signal, end);
  try {
    const {statusCode, body} = await client.request({path, method: 'GET', signal});
    if (statusCode === 200) {
      await pipeline(body, createWriteStream(file, {flags: 'wx'}), {signal});
      return undefined;
    }
    const words = await messageOf(body);
    if (statusCode === 404) return words;
    throw new TransshipError(
      'RESPONSE_INVALID',
      `${address.name} answered ${statusCode}: ${words}`,
      {
        side: 'source',
        hint: 'check that a container engine listens there, and see its log',
        status: statusCode,
      },
    );
  } catch (error) {
    signal.throwIfAborted();
    throw failed(address, error);
  } finally {
    forget();
    await client.destroy();
  }
}

/** The words of an error, on one line (Engine API, "ErrorResponse"). */
async function messageOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    parts.push(Buffer.from(chunk));
    size += chunk.byteLength;
    if (size > MESSAGE_LIMIT) break;
  }
  const text = Buffer.concat(parts).toString().replaceAll(/\s+/g, ' ').trim();
  const [, quoted] = /"message" ?: ?"((?:[^"\\]|\\.)*)"/.exec(text) ?? [];
  return quoted ?? text;
}

function failed({name}: DaemonAddress, cause: unknown): Error {
  if (cause instanceof TransshipError) return cause;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const why = cause instanceof Error ? cause.message : String(cause);
  const isDenied = code === 'EACCES' || code === 'EPERM';
  return new TransshipError(
    isDenied ? 'FORBIDDEN' : /TIMEOUT/.test(code) ? 'TIMEOUT' : 'CONNECTION_FAILED',
    `cannot read from the daemon at ${shown(name)}: ${why}`,
    {
      side: 'source',
      hint: isDenied
        ? 'this user may not use the socket: join its group, or save the image: docker save NAME > FILE'
        : 'check that docker runs ("systemctl start docker"), or set DOCKER_HOST; podman listens after "podman system service"',
      cause,
    },
  );
}

/** Without a login, which an address may contain. */
function shown(address: string): string {
  return address.replace(/^([a-z]+:\/\/)?[^/@]*:[^/@]*@/, '$1***@');
}
