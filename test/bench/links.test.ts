import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {createServer, connect} from 'node:net';
import {buffer} from 'node:stream/consumers';
import {expect, test} from 'vitest';
import {startLinks} from './links.ts';
import {randomLayer} from './random-bytes.ts';

/** More than a link holds at once. */
const SIZE = 20 * 1024 * 1024;

/** Sends back all it gets. */
async function startEcho(): Promise<AsyncDisposable & {readonly host: string}> {
  const server = createServer((socket) => void socket.pipe(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    host: `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

async function throughEcho(host: string, bytes: Buffer): Promise<Buffer> {
  const socket = connect(Number(host.split(':')[1]), '127.0.0.1');
  socket.end(bytes);
  return await buffer(socket);
}

test('a link passes on every byte, in order, and counts them', async () => {
  await using echo = await startEcho();
  await using links = await startLinks();
  await using link = await links.open(echo.host, {roundTripMs: 2});
  const sent = Buffer.concat([...randomLayer('link', SIZE)]);
  const got = await throughEcho(link.host, sent);
  expect(createHash('sha256').update(got).digest('hex')).toBe(
    createHash('sha256').update(sent).digest('hex'),
  );
  expect(await link.counts()).toEqual({connections: 1, up: SIZE, down: SIZE});
});

test('an answer takes the round trips of the handshake and of the request, and the bytes of both their time', async () => {
  await using echo = await startEcho();
  await using links = await startLinks();
  await using link = await links.open(echo.host, {roundTripMs: 40, bytesPerSecond: 1_000_000});
  const started = performance.now();
  await throughEcho(link.host, Buffer.alloc(50_000));
  expect(performance.now() - started).toBeGreaterThanOrEqual(80 + 2 * 50);
});

test('each link has counts of its own, and its end breaks what goes over it', async () => {
  await using echo = await startEcho();
  await using links = await startLinks();
  await using open = await links.open(echo.host, {roundTripMs: 2});
  const closed = await links.open(echo.host, {roundTripMs: 2});
  await throughEcho(open.host, Buffer.alloc(3));
  await throughEcho(closed.host, Buffer.alloc(5));
  expect(await open.counts()).toEqual({connections: 1, up: 3, down: 3});
  expect(await closed.counts()).toEqual({connections: 1, up: 5, down: 5});
  const socket = connect(Number(closed.host.split(':')[1]), '127.0.0.1');
  socket.write('.');
  await once(socket, 'data');
  const ended = once(socket, 'close');
  await closed[Symbol.asyncDispose]();
  await ended;
  expect(await throughEcho(open.host, Buffer.alloc(3))).toHaveLength(3);
});
