import type {Duplex} from 'node:stream';
import {protocolError} from './network-error.ts';

/**
 * Bytes of a response that undici counts nowhere and that contain nothing: a status line without end, blanks before a
 * header value, extensions of chunk sizes (RFC 9112, section 7.1.1), leading zeros. Headers are smaller
 * (`maxHeaderSize`).
 */
const FRAMING_LIMIT = 256 * 1024;

/** Maximum number of interim responses (1xx), which are ignored. */
export const INTERIM_LIMIT = 20;

/** Counts what the parsers of an origin deliver: heads of responses and pieces of their bodies. */
export interface Deliveries {
  count: number;
}

/**
 * Ends a connection whose server sends bytes without end of which nothing reaches the reader of the response. Undici's
 * parser handles the data of one `read` before it calls the next, so what is delivered between them is of this
 * connection. In between, it stops reading only where the response is paused, after a delivery.
 */
export function limitFraming(socket: Duplex, deliveries: Deliveries): void {
  let undelivered = 0;
  /** `deliveries.count` before the data that the parser has; undefined: it has none. */
  let before: number | undefined;
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.write = (data: unknown, ...rest: unknown[]): boolean => {
    // Undici writes the head of a request as text, and its body as bytes.
    if (typeof data === 'string') undelivered = 0;
    return write(data, ...rest);
  };
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  socket.read = (size?: number): Buffer | null => {
    if (before !== undefined && before !== deliveries.count) undelivered = 0;
    before = undefined;
    if (undelivered > FRAMING_LIMIT) {
      socket.destroy(protocolError('ENDLESS_FRAMING'));
      return null;
    }
    const bytes = read(size);
    if (bytes === null) return null;
    before = deliveries.count;
    undelivered += bytes.byteLength;
    return bytes;
  };
}
