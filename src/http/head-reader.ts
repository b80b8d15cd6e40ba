import {HEAD_LIMIT, notHttp, parseResponseHead, type ResponseHead} from './response-head.ts';

const BEGINNING = 'HTTP/1.';
const END = '\r\n\r\n';
/** Who ends lines so never sends the end that is waited for. */
const LONE_LINE_END = /(?<!\r)\n/;

/**
 * Finds the head of the final answer in the bytes of a connection as they come. Those before it (1xx) tell nothing that
 * we need.
 */
export class HeadReader {
  readonly #method: string;
  /** What came of the head so far, a character for each byte. */
  #text = '';

  /** @param method of the request */
  constructor(method: string) {
    this.#method = method;
  }

  /**
   * Takes some of the bytes, from their beginning: all, unless they have the end of the head.
   * @throws Error with a code of llhttp, where it is not HTTP
   */
  take(bytes: Uint8Array): {readonly head: ResponseHead | undefined; readonly used: number} {
    let used = 0;
    while (used < bytes.byteLength) {
      // Some send a line end after a body, which belongs to nothing (RFC 9112, section 2.2).
      if (this.#text === '' && isLineEnd(bytes[used])) {
        used += 1;
        continue;
      }
      const before = this.#text.length;
      const part = bytes.subarray(used, used + HEAD_LIMIT);
      this.#text += Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString('latin1');
      // Before all of it is there: who speaks something else may wait for us now.
      if (!this.#text.startsWith(BEGINNING.slice(0, this.#text.length)))
        throw notHttp('HPE_INVALID_CONSTANT', 'it does not begin as an answer does');
      const end = this.#text.indexOf(END);
      if (end < 0) {
        if (this.#text.length >= HEAD_LIMIT) throw tooLong();
        if (LONE_LINE_END.test(this.#text)) throw notHttp('HPE_CR_EXPECTED', 'a line without CR');
        return {head: undefined, used: bytes.byteLength};
      }
      if (end > HEAD_LIMIT) throw tooLong();
      used += end + END.length - before;
      const head = parseResponseHead(this.#text.slice(0, end), this.#method);
      this.#text = '';
      if (head.status === 101) throw notHttp('HPE_INVALID_CONSTANT', 'a switch of protocols');
      if (head.status >= 200) return {head, used};
    }
    return {head: undefined, used};
  }
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === 0x0d || byte === 0x0a;
}

function tooLong(): Error {
  return notHttp('HPE_HEADER_OVERFLOW', 'the head has no end');
}
