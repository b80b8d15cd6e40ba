import {errors} from 'undici';
import type {BulkConnection} from './bulk-connection.ts';
import {type BodyFraming, notHttp} from './response-head.ts';
import {within} from './within.ts';

/** How a body came to its end: with a connection that is as before, or with one that is of no more use. */
export type BodyEnd = 'whole' | 'broken';

/** The line before a piece of a chunked body is never longer, in bytes. */
const LINE_LIMIT = 4096;

/** The body of an answer, once. Each piece is borrowed: it is overwritten when the next one is asked for. */
export class BulkBody implements AsyncIterator<Uint8Array, undefined> {
  readonly #connection: BulkConnection;
  readonly #framing: BodyFraming;
  readonly #idleMs: number;
  readonly #ended: (end: BodyEnd) => void;
  /** Bytes until the end of the body, or of the piece of a chunked one. */
  #left: number;
  #isOver = false;
  /** In a chunked body: a piece was begun, so that the line end after it is still to come. */
  #isInPieces = false;

  /**
   * @param idleMs how long may pass without a byte
   * @param ended told once, when nothing of the connection is lent any more
   */
  constructor(
    connection: BulkConnection,
    framing: BodyFraming,
    idleMs: number,
    ended: (end: BodyEnd) => void,
  ) {
    this.#connection = connection;
    this.#framing = framing;
    this.#idleMs = idleMs;
    this.#ended = ended;
    this.#left = framing.kind === 'length' ? framing.length : 0;
  }

  /** Whether all of it was given away; the last piece may still be lent. */
  get isComplete(): boolean {
    return this.#framing.kind === 'length' && this.#left === 0;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#isOver) return {done: true, value: undefined};
    try {
      const value = await this.#piece();
      if (value !== undefined) return {done: false, value};
    } catch (error) {
      this.#end('broken');
      throw error;
    }
    this.#end(this.#framing.kind === 'close' ? 'broken' : 'whole');
    return {done: true, value: undefined};
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#end(this.isComplete ? 'whole' : 'broken');
    return Promise.resolve({done: true, value: undefined});
  }

  #end(end: BodyEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ended(end);
  }

  async #piece(): Promise<Uint8Array | undefined> {
    if (this.#framing.kind === 'close') return await this.#read();
    if (this.#framing.kind === 'chunked' && this.#left === 0) this.#left = await this.#nextSize();
    if (this.#left === 0) return undefined;
    const bytes = await this.#readSome();
    const piece = bytes.subarray(0, this.#left);
    this.#connection.unread(bytes.byteLength - piece.byteLength);
    this.#left -= piece.byteLength;
    return piece;
  }

  /** The size of the next piece; 0: there is none, and the lines after the last are read. */
  async #nextSize(): Promise<number> {
    if (this.#isInPieces && (await this.#line()) !== '') throw badPiece();
    this.#isInPieces = true;
    const size = /^[\da-f]{1,12}(?=$|[;\s])/i.exec(await this.#line())?.[0];
    if (size === undefined) throw badPiece();
    const bytes = Number.parseInt(size, 16);
    if (bytes === 0) while ((await this.#line()) !== '');
    return bytes;
  }

  /** The next line, without its end. */
  async #line(): Promise<string> {
    let line = '';
    while (line.length < LINE_LIMIT) {
      const bytes = await this.#readSome();
      const end = bytes.indexOf(0x0a);
      const part = end < 0 ? bytes : bytes.subarray(0, end + 1);
      line += Buffer.from(part).toString('latin1');
      if (end < 0) continue;
      this.#connection.unread(bytes.byteLength - part.byteLength);
      return line.replace(/\r?\n$/, '');
    }
    throw badPiece();
  }

  async #readSome(): Promise<Uint8Array> {
    const bytes = await this.#read();
    if (bytes === undefined) throw new errors.SocketError('other side closed');
    return bytes;
  }

  #read(): Promise<Uint8Array | undefined> {
    return within(this.#idleMs, this.#connection.read(), () =>
      this.#connection.destroy(new errors.BodyTimeoutError()),
    );
  }
}

function badPiece(): Error {
  return notHttp('HPE_INVALID_CHUNK_SIZE', 'a piece of the body has no size');
}
