import * as fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {BodyDecoder} from '../../src/http/body-decoder.ts';
import {HeadReader} from '../../src/http/head-reader.ts';
import type {BodyFraming, ResponseHead} from '../../src/http/response-head.ts';

/** The bytes in pieces that end where they are cut. */
function piecesOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...ends, bytes.length].map((end, at) => bytes.subarray(at === 0 ? 0 : ends[at - 1], end));
}

/** The bytes as a piece of a chunked body. */
const chunk = (bytes: Buffer) =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)};a=b\r\n`), bytes, Buffer.from('\r\n')]);

/** What a body decoder makes of pieces: the content, and what it leaves of them. */
function decode(framing: BodyFraming, pieces: readonly Buffer[]) {
  const decoder = new BodyDecoder(framing);
  const content: Uint8Array[] = [];
  const left: Uint8Array[] = [];
  for (const piece of pieces) {
    let rest: Uint8Array = piece;
    while (rest.byteLength > 0 && !decoder.isOver) {
      const taken = decoder.take(rest);
      content.push(Buffer.from(taken.content));
      rest = rest.subarray(taken.used);
    }
    left.push(rest);
  }
  return {content: Buffer.concat(content), left: Buffer.concat(left), isOver: decoder.isOver};
}

const NEXT = Buffer.from('HTTP/1.1 200 OK\r\n');
const cutsArbitrary = fc.array(fc.nat(), {maxLength: 20});
const bytesArbitrary = fc.uint8Array({maxLength: 300}).map((bytes) => Buffer.from(bytes));

describe('BodyDecoder', () => {
  it('finds a body of known length, however it comes', () => {
    fc.assert(
      fc.property(bytesArbitrary, cutsArbitrary, (body, cuts) => {
        const pieces = piecesOf(Buffer.concat([body, NEXT]), cuts);
        const found = decode({kind: 'length', length: body.length}, pieces);
        expect(found).toEqual({content: body, left: NEXT, isOver: true});
      }),
    );
  });

  it('finds a chunked body, however it comes', () => {
    fc.assert(
      fc.property(
        fc.array(bytesArbitrary.filter(({length}) => length > 0)),
        cutsArbitrary,
        (chunks, cuts) => {
          const end = Buffer.from('0\r\nx-trailer: 1\r\n\r\n');
          const pieces = piecesOf(Buffer.concat([...chunks.map(chunk), end, NEXT]), cuts);
          const found = decode({kind: 'chunked'}, pieces);
          expect(found).toEqual({content: Buffer.concat(chunks), left: NEXT, isOver: true});
        },
      ),
    );
  });

  it('takes a chunk size with leading zeros', () => {
    const found = decode({kind: 'chunked'}, [
      Buffer.from('00000000000000002\r\nab\r\n000\r\n\r\n'),
    ]);
    expect(found).toMatchObject({content: Buffer.from('ab'), isOver: true});
  });

  it('takes all that comes where the body ends with the connection', () => {
    const found = decode({kind: 'close'}, [Buffer.from('ab'), Buffer.from('c')]);
    expect(found).toEqual({content: Buffer.from('abc'), left: Buffer.alloc(0), isOver: false});
  });

  it.each(['\r\n', 'x\r\n', '-1\r\n', `${'1'.repeat(13)}\r\n`, '1\r\naX\r\n', '0'.repeat(5000)])(
    'refuses the chunked body %j',
    (text) => {
      const take = () => decode({kind: 'chunked'}, [Buffer.from(text)]);
      expect(take).toThrow(expect.objectContaining({code: 'HPE_INVALID_CHUNK_SIZE'}));
    },
  );
});

/** What a head reader makes of pieces. */
function readHead(pieces: readonly Buffer[], method = 'GET') {
  const reader = new HeadReader(method);
  let head: ResponseHead | undefined;
  const left: Buffer[] = [];
  for (const piece of pieces) {
    if (head !== undefined || piece.length === 0) {
      left.push(piece);
      continue;
    }
    const taken = reader.take(piece);
    head = taken.head;
    left.push(piece.subarray(taken.used));
  }
  return {head, left: Buffer.concat(left)};
}

describe('HeadReader', () => {
  it('passes over line ends before it, and blanks around values', () => {
    const blanks = ' \t'.repeat(20_000);
    const text = `\r\n\r\nHTTP/1.1 200 OK\r\na:${blanks}b ${'\t'.repeat(9)} c${' '.repeat(99)}\r\n\r\n`;
    expect(readHead([Buffer.from(text)]).head).toMatchObject({
      status: 200,
      headers: {a: `b ${'\t'.repeat(9)} c`},
    });
  });

  it('finds the head of the final answer, however it comes', () => {
    const before = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n';
    const head = 'HTTP/1.1 201 Created\r\nContent-Length: 3\r\nX-A: \xe4\r\nx-a: 2\r\n\r\n';
    const body = Buffer.from('abc');
    fc.assert(
      fc.property(fc.boolean(), cutsArbitrary, (hasBefore, cuts) => {
        const text = hasBefore ? before + head : head;
        const pieces = piecesOf(Buffer.concat([Buffer.from(text, 'latin1'), body]), cuts);
        const found = readHead(pieces);
        expect(found.left).toEqual(body);
        expect(found.head).toMatchObject({
          status: 201,
          headers: {'content-length': '3', 'x-a': ['\xe4', '2']},
          body: {kind: 'length', length: 3},
          keepsAlive: true,
        });
      }),
    );
  });

  it.each([
    ['SSH-2.0-OpenSSH_9.2\r\n', 'HPE_INVALID_CONSTANT'],
    ['\x15\x03\x01\x00\x02\x02\x46', 'HPE_INVALID_CONSTANT'],
    ['HTTP/2', 'HPE_INVALID_CONSTANT'],
    ['HTTP/1.1 OK\r\n\r\n', 'HPE_INVALID_CONSTANT'],
    ['HTTP/1.1 101 Switching Protocols\r\n\r\n', 'HPE_INVALID_CONSTANT'],
    ['HTTP/1.1 200 OK\r\n a: folded\r\n\r\n', 'HPE_INVALID_HEADER_TOKEN'],
    ['HTTP/1.1 200 OK\r\na: b\ncontent-length: 2\r\n\r\n', 'HPE_INVALID_HEADER_TOKEN'],
    ['HTTP/1.1 200 OK\r\na: b\rcontent-length: 2\r\n\r\n', 'HPE_INVALID_HEADER_TOKEN'],
    ['HTTP/1.1 200 OK\r\na: \0\r\n\r\n', 'HPE_INVALID_HEADER_TOKEN'],
    ['HTTP/1.1 200 OK\na: b\r\n\r\n', 'HPE_INVALID_CONSTANT'],
    ['HTTP/1.1 200 OK\na: b\n\n', 'HPE_CR_EXPECTED'],
    [
      'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n',
      'HPE_INVALID_TRANSFER_ENCODING',
    ],
    [`HTTP/1.1 200 OK\r\na: ${'b'.repeat(70_000)}`, 'HPE_HEADER_OVERFLOW'],
  ])('refuses %j', (text, code) => {
    const read = () => readHead([Buffer.from(text, 'latin1')]);
    expect(read).toThrow(expect.objectContaining({code}));
  });
});
