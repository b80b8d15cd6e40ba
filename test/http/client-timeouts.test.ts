import {once} from 'node:events';
import {afterAll, beforeAll, expect, it, vi} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {DEFAULT_TIMEOUTS} from '../../src/http/dispatcher.ts';
import {DEFAULT_ORIGIN_SETTINGS} from '../../src/http/origin.ts';
import type {HttpRequest} from '../../src/http/request.ts';
import {type RawServer, startRawServer} from '../support/raw-server.ts';
import {ONCE} from '../support/single-attempt.ts';
import {collect, NEVER, streamOf} from '../support/streams.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const {connectMs, headersMs, bodyIdleMs, readMs} = DEFAULT_TIMEOUTS;
/** Undici looks at its clock twice a second. */
const MARGIN = 2000;

// Once for all tests: undici keeps a timer of its own from the first on.
beforeAll(() => {
  vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
});
afterAll(() => {
  vi.useRealTimers();
});

const client = () => new HttpClient({retry: ONCE});

const get = ({url}: {readonly url: string}, more: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'GET',
  url: new URL(url),
  side: 'source',
  signal: NEVER,
  ...more,
});

const put = (server: RawServer, chunks: AsyncIterable<Uint8Array>, length: number): HttpRequest =>
  get(server, {method: 'PUT', body: {kind: 'stream', length, chunks}});

/** Lets everything happen that can. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((go) => setImmediate(go));
}

/** What becomes of a promise, without waiting for it. */
function watch(promise: Promise<unknown>): {readonly result: () => unknown} {
  let result: unknown = 'pending';
  promise.then(
    (value) => (result = value),
    (error: unknown) => (result = error),
  );
  return {result: () => result};
}

async function pass(ms: number): Promise<void> {
  await settle();
  // In steps, as time does: a timer may be set anew by another.
  for (let left = ms; left > 0; left -= 500) vi.advanceTimersByTime(Math.min(left, 500));
  await settle();
}

/** A server that only listens, and a promise for the first request. */
async function startSilent(): Promise<RawServer & {readonly asked: Promise<void>}> {
  const {promise: asked, resolve} = Promise.withResolvers<void>();
  return {...(await startRawServer(() => resolve())), asked};
}

it.each([
  ['at all', {}, headersMs],
  ['in the time of that request', {headersTimeoutMs: 5 * headersMs}, 5 * headersMs],
  ['in the time that its work takes', {moreHeadersMs: 1000.5}, headersMs + 1000],
])('a request ends where no answer comes %s', async (_what, more, ms) => {
  await using server = await startSilent();
  await using http = client();
  const sending = watch(http.send(get(server, more)));
  await server.asked;
  await pass(ms - MARGIN);
  expect(sending.result()).toBe('pending');
  await pass(2 * MARGIN);
  expect(sending.result()).toMatchObject({code: 'TIMEOUT', retry: true});
});

it('a connection that cannot be made in time is given up', async () => {
  // It takes connections, and says nothing of TLS.
  await using server = await startSilent();
  await using http = client();
  const sending = watch(http.send(get({url: server.url.replace('http:', 'https:')})));
  await server.asked;
  await pass(connectMs - 1000);
  expect(sending.result()).toBe('pending');
  await pass(1000);
  expect(sending.result()).toMatchObject({code: 'TIMEOUT', retry: true});
});

it('a proxy that says nothing to CONNECT is given up in the same time', async () => {
  await using proxy = await startSilent();
  await using http = new HttpClient({
    retry: ONCE,
    settings: {...DEFAULT_ORIGIN_SETTINGS, proxyFor: () => proxy.url},
  });
  const sending = watch(http.send(get({url: 'https://registry.example/'})));
  await proxy.asked;
  await pass(connectMs - MARGIN);
  expect(sending.result()).toBe('pending');
  await pass(2 * MARGIN);
  expect(sending.result()).toMatchObject({
    code: 'TIMEOUT',
    message: expect.stringContaining('the proxy'),
    retry: true,
  });
});

it('an answer that stalls is given up, and none that comes slowly', async () => {
  await using server = await startRawServer((socket) => {
    socket.write(`${OK}content-length: 9\r\n\r\n`);
  });
  await using http = client();
  const answer = await http.send(get(server));
  const reading = watch(collect(answer.chunks()));
  for (let piece = 0; piece < 5; piece += 1) {
    await pass(bodyIdleMs - MARGIN);
    server.sockets[0]?.write('a');
  }
  await pass(bodyIdleMs - MARGIN);
  expect(reading.result()).toBe('pending');
  await pass(2 * MARGIN);
  expect(reading.result()).toMatchObject({code: 'TIMEOUT', retry: true});
});

it('a body that is read into memory has a time for all of it', async () => {
  await using server = await startRawServer((socket) => {
    socket.write(`${OK}content-length: 1000\r\n\r\n`);
  });
  await using http = client();
  const sending = watch(http.send(get(server, {readLimit: 1000})));
  for (let at = 0; at < readMs; at += 2000) {
    expect(sending.result()).toBe('pending');
    await pass(2000);
    server.sockets[0]?.write('a');
  }
  expect(sending.result()).toMatchObject({
    code: 'TIMEOUT',
    message: expect.stringContaining('response body timed out'),
    retry: false,
  });
});

it('an answer may be taken as slowly as its taker likes', async () => {
  const length = 32 * 1024 * 1024;
  await using server = await startRawServer((socket) => {
    socket.write(`${OK}content-length: ${length}\r\n\r\n`);
    socket.write(Buffer.alloc(length));
  });
  await using http = client();
  const chunks = (await http.send(get(server))).chunks()[Symbol.asyncIterator]();
  let taken = 0;
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
    if (taken === 0) await pass(10 * bodyIdleMs);
    taken += next.value.byteLength;
  }
  expect(taken).toBe(length);
});

it('an upload may come as slowly as its source gives it', async () => {
  let came = '';
  await using server = await startRawServer((socket, text) => {
    came += text;
    if (came.endsWith('\r\n\r\nab'))
      socket.write('HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n');
  });
  await using http = client();
  const gate = Promise.withResolvers<void>();
  async function* pieces() {
    yield Buffer.from('a');
    await gate.promise;
    yield Buffer.from('b');
  }
  const sending = watch(http.send(put(server, pieces(), 2)));
  await vi.waitUntil(() => server.sockets.length > 0);
  await pass(10 * headersMs);
  expect(sending.result()).toBe('pending');
  gate.resolve();
  await vi.waitUntil(() => sending.result() !== 'pending');
  expect(sending.result()).toMatchObject({status: 201});
});

const LENGTH = 64 * 1024 * 1024;

it('an upload is broken off where none of its bytes moves', async () => {
  await using server = await startRawServer((socket) => socket.pause());
  await using http = client();
  const gate = Promise.withResolvers<void>();
  async function* pieces() {
    yield Buffer.from('a');
    // Longer than it may stall: that is no fault of the server.
    await gate.promise;
    yield Buffer.alloc(LENGTH - 1);
  }
  const sending = watch(http.send(put(server, pieces(), LENGTH)));
  await vi.waitUntil(() => server.sockets.length > 0);
  await pass(2 * headersMs);
  gate.resolve();
  await settle();
  await pass(headersMs - MARGIN);
  expect(sending.result()).toBe('pending');
  await pass(2 * MARGIN);
  expect(sending.result()).toMatchObject({code: 'TIMEOUT', retry: true});
});

it('an upload goes on where some of its bytes move', async () => {
  let taken = 0;
  await using server = await startRawServer((socket, text) => {
    taken += text.length;
    if (taken > LENGTH) socket.write('HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n');
    else socket.pause();
  });
  await using http = client();
  const sending = watch(http.send(put(server, streamOf([Buffer.alloc(LENGTH)]), LENGTH)));
  await vi.waitUntil(() => server.sockets.length > 0);
  const [socket] = server.sockets;
  while (sending.result() === 'pending') {
    await pass(headersMs - MARGIN);
    // Some MiB: as much as the system holds.
    for (let part = 0; part < 100; part += 1) {
      socket?.resume();
      await new Promise((go) => setImmediate(go));
    }
  }
  expect(sending.result()).toMatchObject({status: 201});
});

it.each([
  ['after a while', '', 20_000],
  ['a second before the server does', 'keep-alive: timeout=3\r\n', 2000],
])('an idle connection is closed %s', async (_when, header, ms) => {
  await using server = await startRawServer((socket) => {
    socket.write(`${OK}${header}content-length: 2\r\n\r\nok`);
  });
  await using http = client();
  await (await http.send(get(server))).read(2);
  const [socket] = server.sockets;
  if (socket === undefined) throw new Error('there is no connection');
  const closed = once(socket, 'close');
  await pass(ms - 500);
  expect(socket.destroyed).toBe(false);
  await pass(500);
  await closed;
});
