import {once} from 'node:events';
import {type AddressInfo, createServer} from 'node:net';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import type {HttpClient, HttpClientOptions} from '../../src/http/client.ts';
import type {HttpRequest} from '../../src/http/request.ts';
import {type TestAuthority, testAuthority} from '../support/certificates.ts';
import {get} from '../support/http-request.ts';
import {startHttpServer} from '../support/http-server.ts';
import {startRawServer} from '../support/raw-server.ts';
import {singleAttemptClient} from '../support/single-attempt.ts';
import {collect} from '../support/streams.ts';

let tls: TestAuthority;
beforeAll(async () => {
  tls = await testAuthority();
});
afterAll(() => tls[Symbol.asyncDispose]());

const client = (options?: HttpClientOptions) => singleAttemptClient(tls, options);

const textOf = async (http: HttpClient, request: HttpRequest): Promise<string> =>
  (await collect((await http.send(request)).chunks())).toString();

const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n';

describe.each(['http', 'https'] as const)('small requests over %s', (scheme) => {
  const options = () => (scheme === 'https' ? {tls: tls.server} : {});

  it('go over one connection, one after the other', async () => {
    await using server = await startHttpServer(({method, url, body}, response) => {
      response.end(`${method} ${url.pathname} ${body.toString()}`);
    }, options());
    await using http = client();
    const url = `${server.url}/a`;
    const body = {kind: 'bytes', bytes: Buffer.from('xyz')} as const;
    expect(await textOf(http, get(url))).toBe('GET /a ');
    expect(await textOf(http, get(url, {method: 'PUT', body}))).toBe('PUT /a xyz');
    expect((await http.send(get(url, {method: 'HEAD'}))).status).toBe(200);
    expect(await textOf(http, get(url, {method: 'POST'}))).toBe('POST /a ');
    expect(server.connections()).toBe(1);
    expect(server.requests.map(({headers}) => headers['content-length'])).toEqual([
      undefined,
      '3',
      undefined,
      '0',
    ]);
  });

  it('give each its own answer, many at once', async () => {
    await using server = await startHttpServer(({url}, response) => {
      response.end(url.pathname.repeat(1000));
    }, options());
    await using http = client();
    const paths = Array.from({length: 200}, (_, at) => `/${at}`);
    const texts = await Promise.all(paths.map((path) => textOf(http, get(server.url + path))));
    expect(texts).toEqual(paths.map((path) => path.repeat(1000)));
    expect(server.connections()).toBeLessThanOrEqual(64);
  });

  it('give an answer of any size in pieces, as it is asked for', async () => {
    const bytes = Buffer.alloc(3_000_000, 'transship');
    await using server = await startHttpServer((_request, response) => {
      response.end(bytes);
    }, options());
    await using http = client();
    const answer = await http.send(get(server.url));
    const pieces: Buffer[] = [];
    for await (const piece of answer.chunks()) {
      pieces.push(Buffer.from(piece));
      await new Promise((go) => setImmediate(go));
    }
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
  });
});

it('gives a body that ends with the connection', async () => {
  await using server = await startRawServer((socket) => {
    socket.end('HTTP/1.1 200 OK\r\n\r\nall of it');
  });
  await using http = client();
  expect(await textOf(http, get(server.url))).toBe('all of it');
});

it('fails where a body ends before its length', async () => {
  await using server = await startRawServer((socket) => {
    socket.end(`${ANSWER}\r\n1`);
  });
  await using http = client();
  await expect(textOf(http, get(server.url))).rejects.toMatchObject({code: 'CONNECTION_FAILED'});
});

it('takes nothing for the next answer that comes after one', async () => {
  await using server = await startRawServer((socket, _text, connection) => {
    const more = connection === 1 ? `${ANSWER}\r\nno` : '';
    socket.write(`${ANSWER}\r\n${connection}.${more}`);
  });
  await using http = client();
  expect(await textOf(http, get(server.url))).toBe('1.');
  expect(await textOf(http, get(server.url))).toBe('2.');
});

it.each([
  ['says that it closes it', 'connection: close\r\n'],
  ['keeps it for no longer than a second', 'keep-alive: timeout=1\r\n'],
])('uses no connection again where the server %s', async (_what, header) => {
  await using server = await startRawServer((socket, _text, connection) => {
    socket.write(`${ANSWER}${header}\r\n${connection}.`);
  });
  await using http = client();
  expect(await textOf(http, get(server.url))).toBe('1.');
  expect(await textOf(http, get(server.url))).toBe('2.');
});

it('opens another connection where the server closed the idle one', async () => {
  await using server = await startRawServer((socket, _text, connection) => {
    socket.write(`${ANSWER}\r\n${connection}.`);
  });
  await using http = client();
  expect(await textOf(http, get(server.url))).toBe('1.');
  const [first] = server.sockets;
  first?.end();
  // Ours ends it as well when it has seen that.
  if (first) await once(first, 'close');
  expect(await textOf(http, get(server.url))).toBe('2.');
});

it('says at once that it is not HTTP, where the server goes on waiting', async () => {
  await using server = await startRawServer((socket) => {
    socket.write('SSH-2.0-OpenSSH_9.2\r\n');
  });
  await using http = client();
  await expect(http.send(get(server.url))).rejects.toMatchObject({code: 'RESPONSE_INVALID'});
});

it('fails each request that waits for a connection, where none can be made', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  await using http = client();
  const url = `http://127.0.0.1:${port}/`;
  const results = await Promise.allSettled(Array.from({length: 70}, () => http.send(get(url))));
  const codes = results.map((result) => result.status === 'rejected' && result.reason.code);
  expect(new Set(codes)).toEqual(new Set(['CONNECTION_FAILED']));
});

it('gives an answer that comes before the body is sent, and ends the body', async () => {
  await using server = await startRawServer((socket) => {
    socket.write('HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n');
  });
  await using http = client();
  const ended = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  async function* pieces() {
    try {
      yield Buffer.from('a');
      await answered.promise;
      yield Buffer.from('b');
    } finally {
      ended.resolve();
    }
  }
  const body = {kind: 'stream', length: 2, chunks: pieces()} as const;
  const answer = await http.send(get(server.url, {method: 'PUT', body}));
  answered.resolve();
  expect(answer.status).toBe(413);
  await ended.promise;
});

it.each([
  ['shorter', ['a']],
  ['longer', ['a', 'bc']],
])('fails where a body is %s than announced', async (_what, parts) => {
  await using server = await startHttpServer((_request, response) => {
    response.end();
  });
  await using http = client();
  async function* pieces() {
    for (const part of parts) yield Buffer.from(part);
  }
  const body = {kind: 'stream', length: 2, chunks: pieces()} as const;
  const sending = http.send(get(server.url, {method: 'PUT', body}));
  await expect(sending).rejects.toMatchObject({code: 'BLOB_SIZE_MISMATCH'});
});

it.each(['a\r\nx-more: 1', 'a\nb', 'a\0', 'ä€'])(
  'sends no header with the value %j',
  async (value) => {
    await using server = await startHttpServer((_request, response) => {
      response.end();
    });
    await using http = client();
    const sending = http.send(get(server.url, {headers: {'x-a': value}}));
    await expect(sending).rejects.toMatchObject({cause: {message: 'invalid x-a header'}});
    expect(server.requests).toHaveLength(0);
  },
);

it.each(['a b', 'a:', '', 'ä'])('sends no header with the name %j', async (name) => {
  await using server = await startHttpServer((_request, response) => {
    response.end();
  });
  await using http = client();
  const sending = http.send(get(server.url, {headers: {[name]: 'x'}}));
  await expect(sending).rejects.toMatchObject({cause: {message: /^invalid .*header/}});
  expect(server.requests).toHaveLength(0);
});

it('closes the connection of a request that is aborted, and no other', async () => {
  const arrived = Promise.withResolvers<void>();
  const answers: (() => void)[] = [];
  await using server = await startRawServer((socket, _text, connection) => {
    answers.push(() => socket.write(`${ANSWER}\r\n${connection}.`));
    if (answers.length === 2) arrived.resolve();
  });
  await using http = client();
  const aborted = new AbortController();
  const first = http.send(get(server.url, {signal: aborted.signal}));
  const second = textOf(http, get(server.url));
  await arrived.promise;
  const closed = Promise.race(server.sockets.map((socket) => once(socket, 'close')));
  aborted.abort(new Error('no more'));
  await expect(first).rejects.toThrow('no more');
  await closed;
  for (const answer of answers) answer();
  expect(await second).toMatch(/^[12]\.$/);
});

it('breaks what is under way, and what waits, when it is closed', async () => {
  const arrived = Promise.withResolvers<void>();
  await using server = await startRawServer(() => arrived.resolve());
  const http = client();
  const sending = Array.from({length: 70}, () => http.send(get(server.url)));
  const results = Promise.allSettled(sending);
  await arrived.promise;
  await http[Symbol.asyncDispose]();
  for (const result of await results) {
    expect(result).toMatchObject({status: 'rejected', reason: {message: /the client is closed/}});
  }
});
