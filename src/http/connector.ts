import {connect as connectTcp, isIP, type LookupFunction, type Socket} from 'node:net';
import {connect as connectTls} from 'node:tls';
import {type buildConnector, errors} from 'undici';
import {onAbort} from './abort.ts';
import {type Deliveries, INTERIM_LIMIT, limitFraming} from './framing-limit.ts';
import {protocolError} from './network-error.ts';
import type {SecureOptions} from './tls.ts';

/**
 * Size of the buffer that all connections share, in bytes. Undici's parser has consumed the data before another
 * connection reads.
 */
const MEMORY = Buffer.allocUnsafeSlow(1024 * 1024);

/**
 * Size of the pieces that headers and trailers are parsed in, in bytes: of each field beyond its limit, undici makes an
 * error, until it has parsed the piece.
 */
const SMALL_PIECE = 16 * 1024;

/** Idle time before the first TCP keep-alive probe, in ms, as in undici's own connector. */
const KEEP_ALIVE_MS = 60_000;

export interface ConnectorOptions {
  /** For `https:` origins. */
  readonly tls: SecureOptions;
  /** Aborts connection attempts. */
  readonly signal: AbortSignal;
  /** Connect timeout, including TLS, in ms. */
  readonly connectMs: number;
  /** Resolves names. Default: the system's resolver. */
  readonly lookup?: LookupFunction | undefined;
  /** Of the connections' responses. */
  readonly deliveries: Deliveries;
}

/**
 * Connects to one origin for undici, with sockets that reuse one read buffer. Node's sockets allocate a buffer for each
 * read, which takes as much CPU time as the rest of a download.
 *
 * Data passed to a handler is therefore valid only during the call.
 */
export function connector({
  tls,
  connectMs,
  signal,
  deliveries,
  lookup,
}: ConnectorOptions): buildConnector.connector {
  let session: Buffer | undefined;
  return ({hostname, port, protocol, servername}, done) => {
    const isSecure = protocol === 'https:';
    const options = {
      host: hostname,
      port: Number(port || (isSecure ? 443 : 80)),
      // A written chunk counts as sent once the system has it: only then can its buffer be reused.
      highWaterMark: 1,
      ...(lookup && {lookup}),
      onread: {buffer: MEMORY, callback: (count: number) => pass(count)},
    };
    const socket = isSecure
      ? connectTls({
          ...options,
          ...tls,
          ALPNProtocols: ['http/1.1'],
          // An IP address is not a server name (RFC 6066, section 3); the certificate is then compared with `host`.
          ...(servername && !isIP(servername) && {servername}),
          ...(session && {session}),
        })
      : connectTcp(options);
    const pass = passTo(socket);
    limitFraming(socket, deliveries);
    socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
    const timer = setTimeout(() => socket.destroy(new errors.ConnectTimeoutError()), connectMs);
    // Only while connecting: undici owns the connected socket.
    const end = (): void => void socket.destroy(signal.reason as Error);
    const forget = onAbort(signal, end);
    if (signal.aborted) end();
    let offered: Buffer | undefined;
    let isConnected = false;
    const keep = (): void => {
      // Only after the certificate was checked: Node does not check it again for a resumed session.
      if (isConnected) session = offered ?? session;
    };
    socket.on('session', (given: Buffer) => {
      offered = given;
      keep();
    });
    const failed = (error: Error): void => {
      clearTimeout(timer);
      forget();
      done(error, null);
    };
    socket.once('error', failed).once(isSecure ? 'secureConnect' : 'connect', () => {
      clearTimeout(timer);
      forget();
      socket.off('error', failed);
      isConnected = true;
      keep();
      done(null, socket);
    });
  };
}

/** Passes received data to the reader of the socket. @returns whether the reader accepts more data now */
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
    // Undici's parser reads until no data is left, unless its handler pauses it.
    if (size !== 0) wantsMore = bytes === null;
    return bytes;
  };
  return (count) => {
    const bytes = heads.tidy(MEMORY.subarray(0, count));
    if (heads.dropped > INTERIM_LIMIT) {
      socket.destroy(protocolError('ENDLESS_INTERIM_ANSWERS'));
      return false;
    }
    if (bytes.byteLength === 0) return true;
    for (let at = 0; at < bytes.byteLength && !socket.destroyed; ) {
      const isSmall = heads.isChunked || at < heads.length;
      const end = isSmall ? Math.min(at + SMALL_PIECE, bytes.byteLength) : bytes.byteLength;
      socket.push(bytes.subarray(at, end));
      // Immediately, not in the next tick, to know how much was consumed.
      socket.emit('readable');
      at = end;
      if (socket.readableLength === 0) continue;
      socket.unshift(Buffer.concat([read() ?? NOTHING, bytes.subarray(at)]));
      break;
    }
    return wantsMore;
  };
}

/**
 * Rewrites what a client must accept but undici's parser rejects: folded header lines (RFC 9112, section 5.2), and an
 * unsolicited 100 (RFC 9110, section 15.2). If a head arrives in several chunks, only what is complete within one chunk
 * is rewritten.
 */
class ResponseHeads {
  /** Heads that were removed since the last request. */
  dropped = 0;
  /** Bytes of heads at the start of the data that was rewritten last. */
  length = 0;
  /**
   * Whether the body comes in chunks, after which there may be trailers. True where the head arrived in several pieces.
   */
  isChunked = false;
  #isExpected = false;
  /** The last bytes of a head that began in an earlier chunk. */
  #before: Buffer = NOTHING;

  /** A request was sent: the next data is a head. */
  expect(): void {
    this.#isExpected = true;
    this.#before = NOTHING;
    this.dropped = 0;
  }

  /** Rewrites the bytes in place. @returns the remaining bytes */
  tidy(bytes: Buffer): Buffer {
    let left = bytes;
    this.length = 0;
    for (
      let from = 0;
      this.#isExpected && from < left.byteLength && this.dropped <= INTERIM_LIMIT;
    ) {
      const rest = left.subarray(from);
      const length = lengthOfHead(this.#before, rest);
      unfold(rest.subarray(0, length));
      if (length === undefined) {
        this.#before = lastBytes(Buffer.concat([this.#before, lastBytes(rest)]));
        this.length = left.byteLength;
        break;
      }
      const isWhole = this.#before.byteLength === 0;
      this.isChunked = !isWhole || TRANSFER_ENCODING.test(rest.toString('latin1', 0, length));
      const status = isWhole ? interimStatus(rest) : undefined;
      this.#isExpected = status !== undefined;
      this.#before = NOTHING;
      if (status !== '100') {
        this.length = from += length;
        continue;
      }
      left = left.copyWithin(from, from + length).subarray(0, left.byteLength - length);
      this.dropped++;
    }
    return left;
  }
}

const NOTHING = Buffer.alloc(0);
const TRANSFER_ENCODING = /^transfer-encoding[\t ]*:/im;
const END_OF_HEAD = '\r\n\r\n';

/**
 * Where the head ends within a chunk; undefined: beyond it. The end of a head may itself be split over two chunks. The
 * body after it must not be changed.
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

/** The status of the head at the start of these bytes, if another head follows (1xx). */
function interimStatus(bytes: Buffer): string | undefined {
  return /^HTTP\/1\.[01] (1\d\d)/.exec(bytes.toString('latin1', 0, 12))?.[1];
}

function unfold(head: Buffer): void {
  for (const fold of ['\r\n ', '\r\n\t']) {
    for (let at = head.indexOf(fold); at >= 0; at = head.indexOf(fold, at))
      head.fill(' ', at, at + 2);
  }
}
