import {createHash, randomBytes} from 'node:crypto';
import type {ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';
import type {HttpClientOptions} from '../../src/http/client.ts';
import {LARGE_BODY} from '../../src/http/request.ts';
import {type TestAuthority, testAuthority} from '../support/certificates.ts';
import {get} from '../support/http-request.ts';
import {startHttpServer} from '../support/http-server.ts';
import {type RawServer, startRawServer} from '../support/raw-server.ts';
import {ONCE, singleAttemptClient} from '../support/single-attempt.ts';
import {collect} from '../support/streams.ts';

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
      const answer = await http.send(get(server.url));
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
    const read = async () => collect((await http.send(get(server.url))).chunks());
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
      const answer = await http.send(get(server.url, {method: 'PUT', body}));
      expect(answer.status).toBe(201);
      await answer.discard();
    }
    for (const request of server.requests) expect(request.body.equals(bytes)).toBe(true);
    expect(server.connections()).toBe(1);
  });
});

it('a large body goes over another connection where the server closed that of the request before', async () => {
  await using server = await rawServer((socket) => {
    socket.end('HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n');
  });
  await using http = client();
  const opening = {method: 'POST'} as const;
  const none = {kind: 'bytes', bytes: new Uint8Array()} as const;
  expect((await http.send(get(server.url, {...opening, body: none}))).status).toBe(202);
  const body = {kind: 'stream', length: LARGE, chunks: lent(randomBytes(LARGE), 1000)} as const;
  expect((await http.send(get(server.url, {method: 'PUT', body}))).status).toBe(202);
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
    const request = {method: 'POST', body} as const;
    expect((await http.send(get(server.url, request))).status).toBe(202);
    expect(server.requests.map(({target}) => target)).toEqual(['/', '/', '/other']);
    for (const sent of server.requests) expect(sent.body.equals(bytes)).toBe(true);
    expect(server.connections()).toBe(1);
  },
);

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
  const first = await http.send(get(server.url));
  expect(await collect(first.chunks())).toHaveLength(length);
  expect((await http.send(get(server.url))).status).toBe(200);
});

describe('a small body of a stream', () => {
  it('may be lent as well', async () => {
    const bytes = randomBytes(LARGE_BODY);
    await using server = await startHttpServer((_request, response) => {
      response.end();
    });
    await using http = client();
    const body = {kind: 'stream', length: bytes.length, chunks: lent(bytes, 1000)} as const;
    await http.send(get(server.url, {method: 'PUT', body}));
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
    ['after line ends', `\r\n\r\n${OK}content-length: 7\r\n\r\nabcdefg`],
    [
      'with zeros before its sizes',
      `${OK}transfer-encoding: chunked\r\n\r\n0007\r\nabcdefg\r\n000\r\n\r\n`,
    ],
  ])('is read %s, however the bytes come', async (_how, text) => {
    for (const size of [1, 2, 7, text.length]) {
      await using server = await rawServer((socket) => {
        for (let at = 0; at < text.length; at += size) socket.write(text.slice(at, at + size));
        socket.end();
      });
      await using http = client();
      const answer = await http.send(get(server.url));
      expect((await collect(answer.chunks())).toString()).toBe('abcdefg');
    }
  });

  it.each([
    ['no HTTP', 'SSH-2.0-OpenSSH\r\n\r\n', 'RESPONSE_INVALID'],
    ['a header without a name', `${OK}: 1\r\n\r\n`, 'RESPONSE_INVALID'],
    ['two lengths', `${OK}content-length: 1\r\ncontent-length: 2\r\n\r\n`, 'CONNECTION_FAILED'],
    ['another protocol', 'HTTP/1.1 101 Switching\r\n\r\n', 'CONNECTION_FAILED'],
    ['another version', 'HTTP/2 200 OK\r\n\r\n', 'RESPONSE_INVALID'],
    ['no status', 'HTTP/1.1 OK\r\n\r\n', 'RESPONSE_INVALID'],
    ['lines that end otherwise', 'HTTP/1.1 200 OK\na: b\n\n', 'RESPONSE_INVALID'],
    ['a line end within a value', `${OK}a: b\ncontent-length: 2\r\n\r\nok`, 'RESPONSE_INVALID'],
    ['control characters in a value', `${OK}a: \0\r\n\r\n`, 'RESPONSE_INVALID'],
    ['a head without end', `${OK}a: ${'b'.repeat(100_000)}`, 'RESPONSE_INVALID'],
    ['half a head', `${OK}content-le`, 'CONNECTION_FAILED'],
  ])('is refused with %s', async (_what, text, code) => {
    await using server = await rawServer((socket) => socket.end(text));
    await using http = client();
    await expect(http.send(get(server.url))).rejects.toMatchObject({code});
  });

  it.each([
    ['a length', `${OK}content-length: 9\r\n\r\nabc`, 'CONNECTION_FAILED'],
    ['pieces', `${OK}transfer-encoding: chunked\r\n\r\n9\r\nabc`, 'CONNECTION_FAILED'],
    [
      'a length as well as pieces',
      `${OK}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
      'CONNECTION_FAILED',
    ],
    ['pieces of no size', `${OK}transfer-encoding: chunked\r\n\r\nxyz\r\nabc`, 'RESPONSE_INVALID'],
  ])('that breaks off with %s fails', async (_what, text, code) => {
    await using server = await rawServer((socket) => socket.end(text));
    await using http = client();
    const reading = http.send(get(server.url)).then((answer) => collect(answer.chunks()));
    await expect(reading).rejects.toMatchObject({code});
  });

  it('ends with the reason of an abort', async () => {
    await using server = await rawServer((socket) => {
      socket.write(`${OK}content-length: 9\r\n\r\nabc`);
    });
    await using http = client();
    const {signal, abort} = abortable();
    const answer = await http.send(get(server.url, {signal}));
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
      const answer = await http.send(get(server.url));
      for await (const chunk of answer.chunks()) if (chunk.byteLength > 0) break;
    }
    expect(server.connections()).toBe(2);
  });
});

function abortable() {
  const controller = new AbortController();
  return {signal: controller.signal, abort: (reason: Error) => controller.abort(reason)};
}
