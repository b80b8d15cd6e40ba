import type {Socket} from 'node:net';
import {expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import type {HttpResponse} from '../../src/http/response.ts';
import {startRawServer} from '../support/raw-server.ts';
import {ONCE} from '../support/single-attempt.ts';
import {NEVER} from '../support/streams.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;
const LIMIT = 8 * 1024 * 1024;

/** Sends a text again and again, as fast as it is taken, until the connection ends. */
function flood(socket: Socket, text: string): void {
  const some = text.repeat(Math.ceil(16_384 / text.length));
  const send = (): void => {
    while (!socket.destroyed && socket.write(some));
  };
  socket.on('drain', send);
  send();
}

async function answerOf(url: string): Promise<HttpResponse> {
  await using http = new HttpClient({retry: ONCE});
  const answer = await http.send({
    method: 'GET',
    url: new URL(url),
    side: 'source',
    signal: NEVER,
    readLimit: LIMIT,
  });
  return answer;
}

async function textOf(url: string): Promise<string> {
  const {bytes} = await (await answerOf(url)).read(LIMIT);
  return Buffer.from(bytes).toString();
}

it.each([
  ['interim answers', '', 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n', /interim/],
  ['interim answers of which nobody asked for', '', 'HTTP/1.1 100 Continue\r\n\r\n', /interim/],
  ['headers', OK, 'a: b\r\n', /too large/],
  ['empty lines', '', '\r\n', /without content/],
  ['a status line', 'HTTP/1.1 200 ', 'a', /without content/],
  ['blanks before the value of a header', `${OK}a:`, ' ', /without content/],
  ['the extension of a chunk', `${CHUNKED}1;a=`, 'b', /without content/],
  ['extensions of a chunk', `${CHUNKED}1`, ';a=b', /without content/],
  ['zeros before the size of a chunk', CHUNKED, '0', /without content/],
  ['blanks before the value of a trailer', `${CHUNKED}0\r\na:`, ' ', /without content/],
  ['trailers', `${CHUNKED}0\r\n`, 'a: b\r\n', /too large/],
])('ends %s without end', async (_what, begin, more, message) => {
  await using server = await startRawServer((socket) => {
    socket.write(begin);
    flood(socket, more);
  });
  await expect(answerOf(server.url)).rejects.toMatchObject({
    code: 'RESPONSE_INVALID',
    message: expect.stringMatching(message),
    retry: false,
  });
});

it('reads no more of a body without end than was asked for', async () => {
  await using server = await startRawServer((socket) => {
    socket.write(`${OK}\r\n`);
    flood(socket, 'abc');
  });
  expect(await (await answerOf(server.url)).read(LIMIT)).toMatchObject({
    complete: false,
    bytes: {byteLength: LIMIT},
  });
});

it('believes no length before the bytes are there', async () => {
  await using server = await startRawServer((socket) => {
    socket.end(`${OK}content-length: 999999999999999\r\n\r\nabc`);
  });
  await expect(answerOf(server.url)).rejects.toMatchObject({code: 'CONNECTION_FAILED'});
});

it('needs no more memory for a body that comes in pieces of a byte', async () => {
  const count = 1024 * 1024;
  await using server = await startRawServer((socket) => {
    socket.write(`${OK}transfer-encoding: chunked\r\n\r\n`);
    socket.write('1\r\na\r\n'.repeat(count));
    socket.write('0\r\n\r\n');
  });
  const before = process.memoryUsage().rss;
  expect(await textOf(server.url)).toBe('a'.repeat(count));
  // A buffer for each piece would be some 200 MiB.
  expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
});

it.each([
  ['spaces', `${OK}Link: </a?n=1>;\r\n  rel="next"\r\nContent-Length: 2\r\n\r\nok`],
  ['a tab', `${OK}Link:\r\n\t</a?n=1>;\r\n\trel="next"\r\nContent-Length: 2\r\n\r\nok`],
])('reads header lines that are folded with %s', async (_what, text) => {
  await using server = await startRawServer((socket) => void socket.write(text));
  const answer = await answerOf(server.url);
  expect(answer.header('link')).toMatch(/^<\/a\?n=1>;\s+rel="next"$/);
  expect(await textOf(server.url)).toBe('ok');
});

it('leaves a body as it is, whatever it looks like', async () => {
  const body = `${OK}a: b\r\n c\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n \r\n `;
  await using server = await startRawServer((socket) => {
    socket.write(`${OK}content-length: ${2 * body.length}\r\n\r\n${body}`);
    setImmediate(() => socket.write(body));
  });
  expect(await textOf(server.url)).toBe(body + body);
});

it.each([1, 2, 3, 4])(
  'leaves a body as it is after a head whose end comes apart at %i',
  async (cut) => {
    const body = 'a\r\n b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n \r\n ';
    const head = `${OK}content-length: ${body.length}\r\n\r\n`;
    await using server = await startRawServer((socket) => {
      socket.setNoDelay(true);
      socket.write(head.slice(0, -cut));
      setImmediate(() => setImmediate(() => socket.write(head.slice(-cut) + body)));
    });
    expect(await textOf(server.url)).toBe(body);
  },
);

it.each([
  ['one', 'HTTP/1.1 100 Continue\r\n\r\n'],
  [
    'several',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n',
  ],
])('passes over %s of which nobody asked for', async (_what, interim) => {
  await using server = await startRawServer((socket) => {
    socket.write(`${interim}${OK}content-length: 2\r\n\r\nok`);
  });
  expect(await textOf(server.url)).toBe('ok');
});
