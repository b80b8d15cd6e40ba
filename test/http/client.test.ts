import {type AddressInfo, createServer} from 'node:net';
import {once} from 'node:events';
import {describe, expect, it, vi} from 'vitest';
import {HttpClient, type HttpClientOptions} from '../../src/http/client.ts';
import type {RetryPolicy} from '../../src/http/retry.ts';
import {TransshipError} from '../../src/model/error.ts';
import {get} from '../support/http-request.ts';
import {startHttpServer} from '../support/http-server.ts';
import {collect, streamOf} from '../support/streams.ts';

const QUICK: RetryPolicy = {attempts: 4, attemptsAt500: 2, baseMs: 1, capMs: 1, budgetMs: 60_000};

const client = (options: HttpClientOptions = {}) => new HttpClient({retry: QUICK, ...options});

describe('HttpClient', () => {
  it('sends a stream with its length, and gives the answer', async () => {
    await using server = await startHttpServer((request, response) => {
      response.writeHead(201, {'x-a': ['1', '2'], 'content-length': '5'}).end(request.body);
    });
    await using http = client();
    const chunks = streamOf([Buffer.from('ab'), Buffer.from('cde')]);
    const body = {kind: 'stream', length: 5, chunks} as const;
    const answer = await http.send(get(server.url, {method: 'PUT', body}));
    expect(answer.status).toBe(201);
    expect(answer.header('x-a')).toBe('1, 2');
    expect(answer.length).toBe(5);
    expect((await collect(answer.chunks())).toString()).toBe('abcde');
    expect(server.requests[0]?.headers).toMatchObject({'content-length': '5'});
    expect(server.requests[0]?.headers).not.toHaveProperty('transfer-encoding');
  });

  it('uses a connection again, whatever was asked', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(200, {'content-length': '5'}).end('12345');
    });
    await using http = client();
    for (const method of ['HEAD', 'GET', 'DELETE', 'HEAD', 'POST', 'HEAD'] as const) {
      const answer = await http.send(get(server.url, {method}));
      await answer.discard();
    }
    expect(server.connections()).toBe(1);
  });

  it('reads no more of a body than allowed', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.end('x'.repeat(100_000));
    });
    await using http = client();
    const short = await (await http.send(get(server.url))).read(1000);
    expect(short).toMatchObject({complete: false, bytes: {byteLength: 1000}});
    const answer = await http.send(get(server.url));
    expect(await answer.read(100_000)).toMatchObject({
      complete: true,
      bytes: {byteLength: 100_000},
    });
    expect(await answer.read(100_000)).toMatchObject({complete: true});
  });

  it('sees an answer that comes while the body is still on its way, and ends the body', async () => {
    await using server = await startHttpServer(
      (_request, response) => {
        response.writeHead(413, {connection: 'close'}).end('too much');
      },
      {early: true},
    );
    await using http = client();
    const ended = Promise.withResolvers<void>();
    const length = 256 * 1024 * 1024;
    async function* endless() {
      const chunk = Buffer.alloc(64 * 1024);
      try {
        for (let sent = 0; sent < length; sent += chunk.length) yield chunk;
      } finally {
        ended.resolve();
      }
    }
    const body = {kind: 'stream', length, chunks: endless()} as const;
    const answer = await http.send(get(server.url, {method: 'PATCH', body}));
    expect(answer.status).toBe(413);
    expect(Buffer.from((await answer.read(100)).bytes).toString()).toBe('too much');
    await ended.promise;
  });

  it.each(['stream', 'factory'] as const)(
    'ends a %s that it could not begin to send',
    async (kind) => {
      await using http = client({retry: {...QUICK, attempts: 1}});
      const {chunks, ended} = untouched();
      const body =
        kind === 'stream'
          ? ({kind, length: 1, chunks} as const)
          : ({kind, length: 1, open: () => Promise.resolve(chunks)} as const);
      const sending = http.send(get(`http://${await closedPort()}/`, {method: 'PATCH', body}));
      await expect(sending).rejects.toMatchObject({code: 'CONNECTION_FAILED', retry: true});
      await ended;
    },
  );

  it('ends a stream that is aborted before its turn', async () => {
    await using http = client();
    const {chunks, ended} = untouched();
    const body = {kind: 'stream', length: 1, chunks} as const;
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    const sending = http.send(get('http://127.0.0.1:1/', {method: 'PATCH', body, signal}));
    await expect(sending).rejects.toBe(reason);
    await ended;
  });

  it('throws what the body throws', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.end();
    });
    await using http = client();
    const failure = new TransshipError('TIMEOUT', 'the source stalled', {side: 'source', hint: ''});
    const chunks = streamOf([Buffer.from('ab')], failure);
    const body = {kind: 'stream', length: 5, chunks} as const;
    const request = get(server.url, {method: 'PUT', body, side: 'destination'});
    await expect(http.send(request)).rejects.toBe(failure);
  });

  it('refuses a body that is not as long as announced', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.end();
    });
    await using http = client();
    const chunks = streamOf([Buffer.from('ab')]);
    const body = {kind: 'stream', length: 5, chunks} as const;
    await expect(http.send(get(server.url, {method: 'PUT', body}))).rejects.toMatchObject({
      code: 'BLOB_SIZE_MISMATCH',
    });
  });

  it('gives the reason of an abort, before the answer and while it is read', async () => {
    const arrived = Promise.withResolvers<void>();
    await using server = await startHttpServer((request, response) => {
      if (request.target === '/body') response.writeHead(200).write('x');
      arrived.resolve();
    });
    await using http = client();
    const reason = new Error('enough');
    const before = new AbortController();
    const waiting = http.send(get(server.url, {signal: before.signal}));
    await arrived.promise;
    before.abort(reason);
    await expect(waiting).rejects.toBe(reason);

    const during = new AbortController();
    const answer = await http.send(get(`${server.url}/body`, {signal: during.signal}));
    const reading = collect(answer.chunks());
    during.abort(reason);
    await expect(reading).rejects.toBe(reason);
  });

  it('tries nothing again once it is closed', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(503).end();
    });
    const http = client({retry: {...QUICK, baseMs: 50_000, capMs: 50_000}});
    const answer = http.send(get(server.url));
    const {origin} = new URL(server.url);
    const before = http.throttle(origin).limit;
    await vi.waitUntil(() => http.throttle(origin).limit < before);
    await http[Symbol.asyncDispose]();
    expect((await answer).status).toBe(503);
    expect(server.requests).toHaveLength(1);
  });

  it('begins nothing of what waits once it is closed', async () => {
    const full = Promise.withResolvers<void>();
    const limit = 32;
    await using server = await startHttpServer(() => {
      if (server.requests.length === limit) full.resolve();
    });
    const http = client();
    const all = Array.from({length: 2 * limit}, () =>
      http.send(get(server.url)).catch((error: unknown) => error),
    );
    await full.promise;
    await http[Symbol.asyncDispose]();
    for (const error of await Promise.all(all)) expect(error).toBeInstanceOf(TransshipError);
    expect(server.requests).toHaveLength(limit);
  });

  it('reports a body that breaks off as a failure of the connection', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(200, {'content-length': '100'}).write('x', () => response.destroy());
    });
    await using http = client();
    const answer = await http.send(get(server.url));
    await expect(collect(answer.chunks())).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      side: 'source',
      retry: true,
    });
  });

  it('ends an answer that stalls', async () => {
    await using server = await startHttpServer((request, response) => {
      if (request.target === '/body') response.writeHead(200, {'content-length': '9'}).write('x');
    });
    await using http = client({
      retry: {...QUICK, attempts: 1},
      timeouts: {connectMs: 1000, headersMs: 50, bodyIdleMs: 50},
    });
    await expect(http.send(get(server.url))).rejects.toMatchObject({code: 'TIMEOUT', retry: true});
    const answer = await http.send(get(`${server.url}/body`));
    await expect(answer.read(100)).rejects.toMatchObject({code: 'TIMEOUT'});
  });
});

/** A body that must not be read, and a promise for its end. */
function untouched() {
  const {promise: ended, resolve} = Promise.withResolvers<void>();
  const chunks: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => Promise.reject(new Error('not to be read')),
      return: () => {
        resolve();
        return Promise.resolve({done: true, value: undefined});
      },
    }),
  };
  return {chunks, ended};
}

async function closedPort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const {port} = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `127.0.0.1:${port}`;
}
