import {createWriteStream} from 'node:fs';
import {pipeline} from 'node:stream/promises';
import {Client} from 'undici';
import {TransshipError} from '../model/error.ts';
import {onAbort} from './abort.ts';
import type {Environment} from './proxy.ts';

const DEFAULT_ADDRESS = 'unix:///var/run/docker.sock';

/** Response timeout of a daemon, in ms: Docker before 25 writes the whole image to disk before it responds. */
const HEADERS_MS = 30 * 60_000;
/** Timeout between two chunks of the response body, in ms. */
const IDLE_MS = 5 * 60_000;
/** Maximum bytes of an error message. */
const MESSAGE_LIMIT = 16 * 1024;

/** The address of a daemon with Docker's Engine API, such as podman's. */
export interface DaemonAddress {
  /** As given by the user, for messages. */
  readonly name: string;
  readonly origin: string;
  /** Absent: TCP. */
  readonly socketPath?: string;
}

/**
 * The daemon that docker would use (docs.docker.com, "Daemon socket option"): `DOCKER_HOST`, or Docker's socket.
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
    `transship cannot connect to the daemon at DOCKER_HOST=${redacted(name)}${isSecure ? ' with TLS' : ''}`,
    {
      side: 'local',
      hint:
        scheme === 'ssh'
          ? `forward its socket: ssh -N -L /tmp/docker.sock:/var/run/docker.sock ${redacted(rest)}, then set DOCKER_HOST=unix:///tmp/docker.sock`
          : 'set DOCKER_HOST to unix:///path/to/docker.sock or tcp://host:port, or save the image: docker save NAME > FILE',
    },
  );
}

/**
 * Sends a GET request to a daemon and writes the response body to a new file.
 * @returns undefined on success; the daemon's message if it does not have the requested object (404)
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
        hint: 'check that a container engine listens there, and read its log',
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

/** The message of an error response, on one line (Engine API, "ErrorResponse"). */
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
    `cannot read from the daemon at ${redacted(name)}: ${why}`,
    {
      side: 'source',
      hint: isDenied
        ? 'this user may not use the socket: join its group, or save the image: docker save NAME > FILE'
        : 'check that docker runs ("systemctl start docker"), or set DOCKER_HOST; podman listens after "podman system service"',
      cause,
    },
  );
}

/** The address without the credentials that it may contain. */
function redacted(address: string): string {
  return address.replace(/^([a-z]+:\/\/)?[^/@]*:[^/@]*@/, '$1***@');
}
