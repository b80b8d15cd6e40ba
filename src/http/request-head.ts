import {errors} from 'undici';

/** The first lines of a request, as they are to be sent. */
export interface RequestHead {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** All of them, `host` and `content-length` included. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What a field value must not contain, RFC 9110 §5.5: control characters but tab, and what is no single byte. */
// oxlint-disable-next-line no-control-regex
const NOT_IN_A_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** @returns one byte for each character (latin1) @throws undici's InvalidArgumentError for a value that no header has */
export function formatRequestHead({method, target, headers}: RequestHead): string {
  let head = `${method} ${target} HTTP/1.1\r\n`;
  for (const name in headers) {
    const value = headers[name] ?? '';
    // A line end in a value would begin a header that nobody meant. Not `validateHeaderValue` of node:http: to import
    // that module loads Node's own undici, for its WebSocket, which takes 30 ms.
    if (NOT_IN_A_VALUE.test(value)) throw new errors.InvalidArgumentError(`invalid ${name} header`);
    head += `${name}: ${value}\r\n`;
  }
  return `${head}\r\n`;
}
