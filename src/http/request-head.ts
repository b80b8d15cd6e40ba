import {errors} from 'undici';

/** The first lines of a request, as they are to be sent. */
export interface RequestHead {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** All of them, `host` and `content-length` included. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What a header's name is (RFC 9110, section 5.6.2). */
export const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** What a header's value must not contain (section 5.5): control characters but tab, and what is no single byte. */
// oxlint-disable-next-line no-control-regex
export const NOT_IN_A_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** Path and query as URLs have them, without anything that ends a line or a part of it. */
const TARGET = /^\/[\x21-\x7e]*$/;

/** @returns one byte for each character (latin1) @throws undici's InvalidArgumentError for what no request has */
export function formatRequestHead({method, target, headers}: RequestHead): string {
  if (!TARGET.test(target)) throw new errors.InvalidArgumentError('invalid path');
  let head = `${method} ${target} HTTP/1.1\r\n`;
  for (const name in headers) {
    const value = headers[name] ?? '';
    // A line end in a value would begin a header that nobody meant. Not `validateHeaderValue` of node:http: to import
    // that module loads Node's own undici, for its WebSocket, which takes 30 ms.
    if (!TOKEN.test(name) || NOT_IN_A_VALUE.test(value))
      throw new errors.InvalidArgumentError(`invalid ${name} header`);
    head += `${name}: ${value}\r\n`;
  }
  return `${head}\r\n`;
}
