import {connect as connectTcp, isIP, type Socket} from 'node:net';
import {connect as connectTls} from 'node:tls';
import {type buildConnector, errors} from 'undici';
import type {SecureOptions} from './tls.ts';

/** Where all connections read to, in bytes: undici's parser has taken what came before another one reads. */
const MEMORY = Buffer.allocUnsafeSlow(1024 * 1024);

/** First probe of an idle connection, in ms; as undici's own connector. */
const KEEP_ALIVE_MS = 60_000;

export interface ConnectorOptions {
  /** For `https:` origins. */
  readonly tls: SecureOptions;
  /** Ends all connections. */
  readonly signal: AbortSignal;
  /** To connect, TLS included, in ms. */
  readonly connectMs: number;
}

/**
 * Connects to one origin for undici, with sockets that read into one memory again and again. Node's own sockets give a
 * fresh buffer for each read, which takes as much processor time as everything else of a download together.
 *
 * What a handler is given is therefore valid during its call only.
 */
export function connector({tls, connectMs, signal}: ConnectorOptions): buildConnector.connector {
  let session: Buffer | undefined;
  return ({hostname, port, protocol, servername}, done) => {
    const isSecure = protocol === 'https:';
    const options = {
      host: hostname,
      port: Number(port || (isSecure ? 443 : 80)),
      // A piece that is written counts as sent when it is with the system: only then can its memory be used again.
      highWaterMark: 1,
      signal,
      onread: {buffer: MEMORY, callback: (count: number) => pass(count)},
    };
    const socket = isSecure
      ? connectTls({
          ...options,
          ...tls,
          ALPNProtocols: ['http/1.1'],
          // An address is no server name (RFC 6066, section 3); the certificate is compared with `host` then.
          ...(servername && !isIP(servername) && {servername}),
          ...(session && {session}),
        })
      : connectTcp(options);
    const pass = passTo(socket);
    socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
    const timer = setTimeout(() => socket.destroy(new errors.ConnectTimeoutError()), connectMs);
    let offered: Buffer | undefined;
    let isConnected = false;
    const keep = (): void => {
      // Not before the certificate was checked: Node does not check it again for a session that is resumed.
      if (isConnected) session = offered ?? session;
    };
    socket.on('session', (given: Buffer) => {
      offered = given;
      keep();
    });
    const failed = (error: Error): void => {
      clearTimeout(timer);
      done(error, null);
    };
    socket.once('error', failed).once(isSecure ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer);
      socket.off('error', failed);
      isConnected = true;
      keep();
      done(null, socket);
    });
  };
}

/** Gives what has come to whoever reads the socket. @returns whether more is wanted now */
function passTo(socket: Socket): (count: number) => boolean {
  const heads = new ResponseHeads();
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.write = (data: unknown, ...rest: unknown[]): boolean => {
    // Undici writes the head of a request as text, and its body as bytes.
    if (typeof data === 'string') heads.expect();
    return write(data, ...rest);
  };
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  let wantsMore = true;
  socket.read = (size?: number): Buffer | null => {
    const bytes = read(size);
    // Undici's parser reads until there is nothing left, unless its handler paused it.
    if (size !== 0) wantsMore = bytes === null;
    return bytes;
  };
  return (count) => {
    const bytes = heads.tidy(MEMORY.subarray(0, count));
    if (bytes.byteLength === 0) return true;
    socket.push(bytes);
    // At once, and not in the next tick, so that it is known what was taken.
    socket.emit('readable');
    if (socket.readableLength > 0) socket.unshift(Buffer.from(read() ?? []));
    return wantsMore;
  };
}

/**
 * Changes what a client has to read and undici's parser refuses: header lines that are folded (RFC 9112, section 5.2), and
 * a 100 that nobody asked for (RFC 9110, section 15.2). Where a head arrives in several pieces, only what is whole in one
 * of them is changed.
 */
class ResponseHeads {
  #isExpected = false;
  /** The last bytes of a head that began in an earlier piece. */
  #before: Buffer = NOTHING;

  /** A request is sent: what comes next is a head. */
  expect(): void {
    this.#isExpected = true;
    this.#before = NOTHING;
  }

  /** Changes the bytes where they are. @returns what is left of them */
  tidy(bytes: Buffer): Buffer {
    let left = bytes;
    for (let from = 0; this.#isExpected && from < left.byteLength; ) {
      const rest = left.subarray(from);
      const length = lengthOfHead(this.#before, rest);
      unfold(rest.subarray(0, length));
      if (length === undefined) {
        this.#before = lastBytes(Buffer.concat([this.#before, lastBytes(rest)]));
        break;
      }
      const isWhole = this.#before.byteLength === 0;
      const status = isWhole ? interimStatus(rest) : undefined;
      this.#isExpected = status !== undefined;
      this.#before = NOTHING;
      if (status === '100')
        left = left.copyWithin(from, from + length).subarray(0, left.byteLength - length);
      else from += length;
    }
    return left;
  }
}

const NOTHING = Buffer.alloc(0);
const END_OF_HEAD = '\r\n\r\n';

/**
 * Up to where the head goes in a piece; undefined: beyond it. The end of a head may itself arrive in two pieces; what
 * follows is the body, in which nothing may be changed.
 */
function lengthOfHead(before: Buffer, piece: Buffer): number | undefined {
  if (before.byteLength > 0) {
    const across = Buffer.concat([before, piece.subarray(0, END_OF_HEAD.length - 1)]);
    const atSeam = across.indexOf(END_OF_HEAD);
    if (atSeam >= 0) return atSeam + END_OF_HEAD.length - before.byteLength;
  }
  const at = piece.indexOf(END_OF_HEAD);
  return at < 0 ? undefined : at + END_OF_HEAD.length;
}

function lastBytes(bytes: Buffer): Buffer {
  return bytes.subarray(1 - END_OF_HEAD.length);
}

/** The status of the head at the beginning of these bytes, where another head follows (1xx). */
function interimStatus(bytes: Buffer): string | undefined {
  return /^HTTP\/1\.[01] (1\d\d)/.exec(bytes.toString('latin1', 0, 12))?.[1];
}

function unfold(head: Buffer): void {
  for (const fold of ['\r\n ', '\r\n\t']) {
    for (let at = head.indexOf(fold); at >= 0; at = head.indexOf(fold, at))
      head.fill(' ', at, at + 2);
  }
}
