import {createHash, randomBytes} from 'node:crypto';
import type {ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import {setTimeout as delay} from 'node:timers/promises';
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi} from 'vitest';
import type {HttpClientOptions} from '../../src/http/client.ts';
import {type HttpRequest, LARGE_BODY} from '../../src/http/message.ts';
import {type TestAuthority, testAuthority} from '../support/certificates.ts';
import {startHttpServer} from '../support/http-server.ts';
import {type RawServer, startRawServer} from '../support/raw-server.ts';
import {ONCE, singleAttemptClient} from '../support/single-attempt.ts';
import {collect, NEVER} from '../support/streams.ts';

const LARGE = 5 * 1024 * 1024 + 17;
/** More connections than a run opens for one blob. */
const MANY = 12;

let tls: TestAuthority;
beforeAll(async () => {
  tls = await testAuthority();
});
afterAll(() => tls[Symbol.asyncDispose]());

/** A server that answers each connection's first bytes with what it is told to, as it is. */
function rawServer(answer: (socket: Socket) => void): Promise<RawServer> {
  const answered = new WeakSet<Socket>();
  return startRawServer((socket) => {
    if (answered.has(socket)) return;
    answered.add(socket);
    answer(socket);
  });
}

const client = (options?: HttpClientOptions) => singleAttemptClient(tls, options);

const large = (url: string, more: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'GET',
  url: new URL(url),
  side: 'source',
  signal: NEVER,
  answerSize: LARGE,
  ...more,
});

const put = (url: string, chunks: AsyncIterable<Uint8Array>, length: number): HttpRequest =>
  large(url, {method: 'PUT', body: {kind: 'stream', length, chunks}});

/** Gives all its chunks in one memory, as those who lend do. */
async function* lent(bytes: Buffer, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  const memory = Buffer.alloc(size);
  for (let at = 0; at < bytes.length; at += size) {
    const length = bytes.copy(memory, 0, at);
    yield memory.subarray(0, length);
    memory.fill(0);
  }
}

describe.each(['http', 'https'] as const)('a large body over %s', (scheme) => {
  const options = () => (scheme === 'https' ? {tls: tls.server} : {});

  it('arrives as it was sent, over connections that are used again', async () => {
    const bytes = randomBytes(LARGE);
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(200, {'content-length': LARGE}).end(bytes);
    }, options());
    await using http = client();
    for (let round = 0; round < 3; round++) {
      const answer = await http.send(large(server.url));
      const hash = createHash('sha256');
      for await (const chunk of answer.chunks()) {
        // Reading goes on while a chunk is worked on, until its buffer is full, and must not reach it.
        for (let turn = 0; turn < 20; turn++) await new Promise((go) => setImmediate(go));
        hash.update(chunk);
      }
      expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
    }
    expect(server.connections()).toBe(1);
  });

  it('arrives as it was sent over each of many connections', async () => {
    const bytes = randomBytes(LARGE);
    const held: ServerResponse[] = [];
    await using server = await startHttpServer((_request, response) => {
      held.push(response);
      if (held.length < MANY) return;
      // None before all are there, so that no connection is used twice.
      for (const each of held) each.writeHead(200, {'content-length': LARGE}).end(bytes);
    }, options());
    await using http = client();
    const read = async () => collect((await http.send(large(server.url))).chunks());
    const all = await Promise.all(Array.from({length: MANY}, read));
    expect(all.map((each) => each.equals(bytes))).toEqual(Array(MANY).fill(true));
    expect(server.connections()).toBe(MANY);
  });

  it('is sent from memory that is used again', async () => {
    const bytes = randomBytes(LARGE);
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(201).end();
    }, options());
    await using http = client();
    for (const size of [1000, 300_000]) {
      const body = {kind: 'stream', length: LARGE, chunks: lent(bytes, size)} as const;
      const answer = await http.send(large(server.url, {method: 'PUT', body}));
      expect(answer.status).toBe(201);
      await answer.discard();
    }
    for (const request of server.requests) expect(request.body.equals(bytes)).toBe(true);
    expect(server.connections()).toBe(1);
  });
});

it.each(['a\r\nx-more: 1', 'a\nb', 'a\0', 'ä€'])(
  'sends no header with the value %j',
  async (value) => {
    await using server = await startHttpServer((_request, response) => {
      response.end();
    });
    await using http = client();
    const sending = http.send(large(server.url, {headers: {'x-a': value}}));
    await expect(sending).rejects.toMatchObject({cause: {message: 'invalid x-a header'}});
    expect(server.requests).toHaveLength(0);
  },
);

it('a large body goes over another connection where the server closed that of the request before', async () => {
  await using server = await rawServer((socket) => {
    socket.end('HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n');
  });
  await using http = client();
  const opening = {method: 'POST', answerSize: 0, uploadSize: LARGE} as const;
  const none = {kind: 'bytes', bytes: new Uint8Array()} as const;
  expect((await http.send(large(server.url, {...opening, body: none}))).status).toBe(202);
  const body = {kind: 'stream', length: LARGE, chunks: lent(randomBytes(LARGE), 1000)} as const;
  expect((await http.send(large(server.url, {method: 'PUT', body}))).status).toBe(202);
  expect(server.sockets).toHaveLength(2);
});

it.each([300 * 1024, 0])(
  'a body of %i bytes in memory is sent again after a refusal, and to another place',
  async (size) => {
    const bytes = randomBytes(size);
    const statuses = [503, 307, 202];
    await using server = await startHttpServer((_request, response) => {
      const status = statuses.shift() ?? 500;
      response.writeHead(status, status === 307 ? {location: '/other'} : {}).end();
    });
    await using http = client({retry: {...ONCE, attempts: 2}});
    const body = {kind: 'bytes', bytes} as const;
    const request = {method: 'POST', body, answerSize: 0, uploadSize: LARGE} as const;
    expect((await http.send(large(server.url, request))).status).toBe(202);
    expect(server.requests.map(({target}) => target)).toEqual(['/', '/', '/other']);
    for (const sent of server.requests) expect(sent.body.equals(bytes)).toBe(true);
    expect(server.connections()).toBe(1);
  },
);

describe('an idle connection', () => {
  beforeEach(() => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout', 'performance']});
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const FIRST = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n';

  it.each([
    ['after four seconds', '', 4000],
    ['a second before the server does', 'keep-alive: timeout=3\r\n', 2000],
  ])('is closed %s', async (_when, header, ms) => {
    const closed = Promise.withResolvers<void>();
    await using server = await rawServer((socket) => {
      socket.once('close', () => closed.resolve());
      socket.write(`${FIRST}${header}\r\nab`);
    });
    await using http = client();
    const answer = await http.send(large(server.url));
    expect((await collect(answer.chunks())).toString()).toBe('ab');
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(ms - 1);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(1);
    await closed.promise;
  });

  it.each([0, 1])('is not kept where the server closes it within %i s', async (seconds) => {
    const closed = Promise.withResolvers<void>();
    await using server = await rawServer((socket) => {
      socket.once('close', () => closed.resolve());
      socket.write(`${FIRST}keep-alive: timeout=${seconds}\r\n\r\nab`);
    });
    await using http = client();
    await collect((await http.send(large(server.url))).chunks());
    await closed.promise;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is not closed when it is used again', async () => {
    await using server = await rawServer((socket) => {
      socket.write(`${FIRST}\r\nab`);
      socket.once('data', () => socket.write(`${FIRST}\r\nc`));
    });
    await using http = client();
    await collect((await http.send(large(server.url))).chunks());
    const chunks = (await http.send(large(server.url))).chunks()[Symbol.asyncIterator]();
    expect(Buffer.from((await chunks.next()).value ?? []).toString()).toBe('c');
    vi.advanceTimersByTime(5000);
    server.sockets[0]?.write('d');
    expect(Buffer.from((await chunks.next()).value ?? []).toString()).toBe('d');
    expect((await chunks.next()).done).toBe(true);
    expect(server.sockets).toHaveLength(1);
  });
});

it('does not go over a connection that was closed with an answer that filled what it reads into', async () => {
  const filled = 1024 * 1024;
  const length = 1_000_000;
  const head = `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\nfiller: `;
  const filler = '-'.repeat(filled - length - head.length - 4);
  await using server = await startRawServer((socket, _text, connection) => {
    if (connection === 1) socket.end(`${head}${filler}\r\n\r\n${'a'.repeat(length)}`);
    else socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  });
  await using http = client();
  const first = await http.send(large(server.url));
  expect(await collect(first.chunks())).toHaveLength(length);
  expect((await http.send(large(server.url))).status).toBe(200);
});

describe('a large body that is slow', () => {
  const IDLE_MS = 500;
  const hasty = () => client({timeouts: {connectMs: 5000, headersMs: 5000, bodyIdleMs: IDLE_MS}});

  /** A small piece, and after longer than nothing may move one of so many bytes. */
  async function* afterPause(length: number) {
    yield new Uint8Array(10);
    await delay(2 * IDLE_MS);
    yield new Uint8Array(length - 10);
  }

  it('may be taken as slowly as its taker likes', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout', 'performance']});
    try {
      await using server = await rawServer((socket) =>
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na'),
      );
      await using http = hasty();
      const chunks = (await http.send(large(server.url))).chunks()[Symbol.asyncIterator]();
      expect(Buffer.from((await chunks.next()).value ?? []).toString()).toBe('a');
      vi.advanceTimersByTime(2 * IDLE_MS);
      server.sockets[0]?.write('b');
      expect(Buffer.from((await chunks.next()).value ?? []).toString()).toBe('b');
    } finally {
      vi.useRealTimers();
    }
  });

  it.each(['http', 'https'] as const)(
    'may come as slowly as its source gives it, over %s',
    async (scheme) => {
      await using server = await startHttpServer(
        (_request, response) => void response.writeHead(201).end(),
        scheme === 'https' ? {tls: tls.server} : {},
      );
      await using http = hasty();
      expect((await http.send(put(server.url, afterPause(LARGE), LARGE))).status).toBe(201);
      expect(server.requests[0]?.body).toHaveLength(LARGE);
    },
  );

  it('is broken off where none of it is taken, also after such a pause', async () => {
    await using server = await rawServer((socket) => socket.pause());
    await using http = hasty();
    const length = 64 * 1024 * 1024;
    await expect(http.send(put(server.url, afterPause(length), length))).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
  });

  it('is let through where a piece takes longer, and some of it moves', async () => {
    const length = 24 * 1024 * 1024;
    let taken = 0;
    await using server = await startRawServer((socket, text) => {
      taken += text.length;
      if (taken > length) socket.write('HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n');
      // 64 KiB at a time, 8 MB in a second.
      socket.pause();
      setTimeout(() => socket.resume(), 8);
    });
    await using http = hasty();
    const whole = lent(Buffer.alloc(length), length);
    expect((await http.send(put(server.url, whole, length))).status).toBe(201);
  });
});

describe('a small body of a stream', () => {
  it('may be lent as well', async () => {
    const bytes = randomBytes(LARGE_BODY);
    await using server = await startHttpServer((_request, response) => {
      response.end();
    });
    await using http = client();
    const body = {kind: 'stream', length: bytes.length, chunks: lent(bytes, 1000)} as const;
    await http.send(large(server.url, {method: 'PUT', body, answerSize: 0}));
    expect(server.requests[0]?.body.equals(bytes)).toBe(true);
  });
});

describe('an answer with a large body', () => {
  const OK = 'HTTP/1.1 200 OK\r\n';

  it.each([
    [
      'in one piece',
      `${OK}transfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n3;x=1\r\nefg\r\n0\r\nt: 1\r\n\r\n`,
    ],
    ['to the end of the connection', `${OK}\r\nabcdefg`],
    [
      'after one that tells nothing',
      `HTTP/1.1 103 Early\r\na: b\r\n\r\n${OK}content-length: 7\r\n\r\nabcdefg`,
    ],
  ])('is read %s, however the bytes come', async (_how, text) => {
    for (const size of [1, 2, 7, text.length]) {
      await using server = await rawServer((socket) => {
        for (let at = 0; at < text.length; at += size) socket.write(text.slice(at, at + size));
        socket.end();
      });
      await using http = client();
      const answer = await http.send(large(server.url));
      expect((await collect(answer.chunks())).toString()).toBe('abcdefg');
    }
  });

  it.each([
    ['no HTTP', 'SSH-2.0-OpenSSH\r\n\r\n', 'RESPONSE_INVALID'],
    ['a header without a name', `${OK}: 1\r\n\r\n`, 'RESPONSE_INVALID'],
    ['two lengths', `${OK}content-length: 1\r\ncontent-length: 2\r\n\r\n`, 'RESPONSE_INVALID'],
    ['a coding nobody asked for', `${OK}transfer-encoding: gzip\r\n\r\n`, 'RESPONSE_INVALID'],
    ['another protocol', 'HTTP/1.1 101 Switching\r\n\r\n', 'RESPONSE_INVALID'],
    ['a head without end', `${OK}a: ${'b'.repeat(100_000)}`, 'RESPONSE_INVALID'],
    ['half a head', `${OK}content-le`, 'CONNECTION_FAILED'],
  ])('is refused with %s', async (_what, text, code) => {
    await using server = await rawServer((socket) => socket.end(text));
    await using http = client();
    await expect(http.send(large(server.url))).rejects.toMatchObject({code});
  });

  it.each([
    ['a length', `${OK}content-length: 9\r\n\r\nabc`, 'CONNECTION_FAILED'],
    ['pieces', `${OK}transfer-encoding: chunked\r\n\r\n9\r\nabc`, 'CONNECTION_FAILED'],
    ['pieces of no size', `${OK}transfer-encoding: chunked\r\n\r\nxyz\r\nabc`, 'RESPONSE_INVALID'],
  ])('that breaks off with %s fails', async (_what, text, code) => {
    await using server = await rawServer((socket) => socket.end(text));
    await using http = client();
    const answer = await http.send(large(server.url));
    await expect(collect(answer.chunks())).rejects.toMatchObject({code});
  });

  it('is given up when it stalls, and when none comes', async () => {
    await using stalling = await rawServer((socket) => {
      socket.write(`${OK}content-length: 9\r\n\r\nabc`);
    });
    await using silent = await rawServer(() => undefined);
    await using http = client({timeouts: {connectMs: 1000, headersMs: 50, bodyIdleMs: 50}});
    const answer = await http.send(large(stalling.url));
    await expect(collect(answer.chunks())).rejects.toMatchObject({code: 'TIMEOUT', retry: true});
    await expect(http.send(large(silent.url))).rejects.toMatchObject({code: 'TIMEOUT'});
  });

  it('ends with the reason of an abort', async () => {
    await using server = await rawServer((socket) => {
      socket.write(`${OK}content-length: 9\r\n\r\nabc`);
    });
    await using http = client();
    const {signal, abort} = abortable();
    const answer = await http.send(large(server.url, {signal}));
    const reading = collect(answer.chunks());
    const reason = new Error('enough');
    abort(reason);
    await expect(reading).rejects.toBe(reason);
  });

  it('closes the connection when it is not read to its end', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(200, {'content-length': LARGE}).end(Buffer.alloc(LARGE));
    });
    await using http = client();
    for (let round = 0; round < 2; round++) {
      const answer = await http.send(large(server.url));
      for await (const chunk of answer.chunks()) if (chunk.byteLength > 0) break;
    }
    expect(server.connections()).toBe(2);
  });
});

function abortable() {
  const controller = new AbortController();
  return {signal: controller.signal, abort: (reason: Error) => controller.abort(reason)};
}
