import {NOT_IN_A_VALUE, TOKEN} from './request-head.ts';

/** Status line and headers of an answer. */
export interface ResponseHead {
  readonly status: number;
  /** By their names in lower case; a list where a name comes more than once. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  /** How the end of the body is found (RFC 9112, section 6.3). */
  readonly body: BodyFraming;
  /** Whether the server will take another request on the connection. */
  readonly keepsAlive: boolean;
}

export type BodyFraming =
  | {readonly kind: 'length'; readonly length: number}
  | {readonly kind: 'chunked'}
  /** It ends with the connection. */
  | {readonly kind: 'close'};

/** The most that a head may have, in bytes. */
export const HEAD_LIMIT = 64 * 1024;

const STATUS_LINE = /^HTTP\/1\.([01]) (\d{3})(?: [^\r\n]*)?$/;

/**
 * Reads the head of an HTTP/1.1 answer.
 * @param head its lines without the empty one at the end
 * @throws Error with a code of llhttp, where it is not HTTP
 */
export function parseResponseHead(head: string, method: string): ResponseHead {
  const [statusLine = '', ...lines] = head.split('\r\n');
  const [, minor, digits] = STATUS_LINE.exec(statusLine) ?? [];
  if (digits === undefined) throw notHttp('HPE_INVALID_CONSTANT', 'the first line is no status');
  const status = Number(digits);
  const headers = readHeaders(lines);
  const connection = String(headers['connection'] ?? '').toLowerCase();
  const body = framingOf(method, status, headers);
  return {
    status,
    headers,
    body,
    keepsAlive:
      body.kind !== 'close' &&
      (minor === '1' ? !connection.includes('close') : connection.includes('keep-alive')),
  };
}

function readHeaders(lines: readonly string[]): Record<string, string | string[]> {
  // Without a prototype: a header may have any name.
  const headers = Object.create(null) as Record<string, string | string[]>;
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0));
    if (!TOKEN.test(name)) throw notHttp('HPE_INVALID_HEADER_TOKEN', 'a header has no name');
    const key = name.toLowerCase();
    const value = withoutOuterBlanks(line.slice(colon + 1));
    // A line that ends otherwise than others do would be one header to us and two to who stands in between.
    if (NOT_IN_A_VALUE.test(value))
      throw notHttp('HPE_INVALID_HEADER_TOKEN', `the header ${name} has control characters`);
    const before = headers[key];
    headers[key] = before === undefined ? value : [before, value].flat();
  }
  return headers;
}

/** Spaces and tabs. By hand: a regular expression takes as long as the square of the blanks in the middle. */
function withoutOuterBlanks(text: string): string {
  let begin = 0;
  let end = text.length;
  while (begin < end && isBlank(text.charCodeAt(begin))) begin += 1;
  while (end > begin && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(begin, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function framingOf(
  method: string,
  status: number,
  headers: Readonly<Record<string, string | string[]>>,
): BodyFraming {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) {
    return {kind: 'length', length: 0};
  }
  const coding = headers['transfer-encoding'];
  const length = headers['content-length'];
  if (coding !== undefined) {
    // Whoever believes the one and who the other find different answers (RFC 9112, section 6.3).
    if (length !== undefined)
      throw notHttp('HPE_INVALID_TRANSFER_ENCODING', 'a length and a transfer coding');
    if (String(coding).toLowerCase() === 'chunked') return {kind: 'chunked'};
    throw notHttp('HPE_INVALID_TRANSFER_ENCODING', `the transfer coding ${String(coding)}`);
  }
  if (length === undefined) return {kind: 'close'};
  if (typeof length === 'string' && /^\d{1,15}$/.test(length)) {
    return {kind: 'length', length: Number(length)};
  }
  throw notHttp('HPE_INVALID_CONTENT_LENGTH', `the content length ${String(length)}`);
}

/** @param code as llhttp, the parser of Node and undici, names it: `networkError` knows these */
export function notHttp(code: `HPE_${string}`, what: string): Error {
  return Object.assign(new Error(`the answer is not HTTP: ${what}`), {code});
}
