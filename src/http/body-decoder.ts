import {type BodyFraming, notHttp} from './response-head.ts';

/** The line before a piece of a chunked body is never longer, in bytes. */
const LINE_LIMIT = 4096;
const LINE_END = 0x0a;
const NOTHING = new Uint8Array();

/** Finds the content of an answer in the bytes of its connection as they come (RFC 9112, section 7.1). It keeps none of it. */
export class BodyDecoder {
  readonly #isChunked: boolean;
  /** Bytes until the end of the body, or of the piece of a chunked one. */
  #left: number;
  /** What the next line of a chunked body is. */
  #next: 'size' | 'end of a piece' | 'trailer' | 'nothing' = 'size';
  /** The beginning of that line. */
  #line = '';

  constructor(framing: BodyFraming) {
    this.#isChunked = framing.kind === 'chunked';
    this.#left =
      framing.kind === 'length' ? framing.length : framing.kind === 'close' ? Infinity : 0;
  }

  /** Whether all of the body was taken. Never, where it ends with the connection. */
  get isOver(): boolean {
    return this.#left === 0 && (!this.#isChunked || this.#next === 'nothing');
  }

  /**
   * Takes some of the bytes, from their beginning.
   * @returns the content among them, a part of `bytes`, and how many were taken: all, unless there is content or the end
   * @throws Error with a code of llhttp, where the pieces of the body have no size
   */
  take(bytes: Uint8Array): {readonly content: Uint8Array; readonly used: number} {
    let used = 0;
    while (used < bytes.byteLength && !this.isOver) {
      if (this.#left > 0) {
        const content = bytes.subarray(used, used + this.#left);
        this.#left -= content.byteLength;
        return {content, used: used + content.byteLength};
      }
      used += this.#takeOfLine(bytes.subarray(used));
    }
    return {content: NOTHING, used};
  }

  #takeOfLine(bytes: Uint8Array): number {
    const end = bytes.indexOf(LINE_END);
    const part = end < 0 ? bytes : bytes.subarray(0, end + 1);
    if (this.#line.length + part.byteLength > LINE_LIMIT) throw badPiece();
    this.#line += Buffer.from(part).toString('latin1');
    if (end >= 0) {
      const line = this.#line.replace(/\r?\n$/, '');
      this.#line = '';
      this.#read(line);
    }
    return part.byteLength;
  }

  #read(line: string): void {
    if (this.#next === 'size') {
      const size = /^0*([\da-f]{1,12})(?=$|[;\s])/i.exec(line)?.[1];
      if (size === undefined) throw badPiece();
      this.#left = Number.parseInt(size, 16);
      this.#next = this.#left === 0 ? 'trailer' : 'end of a piece';
    } else if (this.#next === 'end of a piece') {
      if (line !== '') throw badPiece();
      this.#next = 'size';
    } else if (line === '') {
      this.#next = 'nothing';
    }
  }
}

function badPiece(): Error {
  return notHttp('HPE_INVALID_CHUNK_SIZE', 'a piece of the body has no size');
}
