import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {createServer, connect} from 'node:net';
import {buffer} from 'node:stream/consumers';
import {expect, test} from 'vitest';
import {startLink} from './link.ts';
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
  await using link = await startLink(echo.host, {roundTripMs: 2});
  const sent = Buffer.concat([...randomLayer('link', SIZE)]);
  const got = await throughEcho(link.host, sent);
  expect(createHash('sha256').update(got).digest('hex')).toBe(
    createHash('sha256').update(sent).digest('hex'),
  );
  expect(await link.counts()).toEqual({connections: 1, up: SIZE, down: SIZE});
});

test('an answer takes the round trips of the handshake and of the request, and the bytes of both their time', async () => {
  await using echo = await startEcho();
  await using link = await startLink(echo.host, {roundTripMs: 40, bytesPerSecond: 1_000_000});
  const started = performance.now();
  await throughEcho(link.host, Buffer.alloc(50_000));
  expect(performance.now() - started).toBeGreaterThanOrEqual(80 + 2 * 50);
});
