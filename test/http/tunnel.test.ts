import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import type {AddressInfo} from 'node:net';
import {createServer as createTlsServer} from 'node:tls';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {type TestAuthority, testAuthority} from '../support/certificates.ts';
import {startHttpServer} from '../support/http-server.ts';
import {startRawServer} from '../support/raw-server.ts';
import {ONCE} from '../support/single-attempt.ts';
import {collect, NEVER, streamOf} from '../support/streams.ts';
import {startTunnelProxy} from '../support/tunnel-proxy.ts';

const LARGE = 1024 * 1024;

const TO_REGISTRY = {
  url: new URL('https://registry.example/v2/'),
  side: 'source',
  signal: NEVER,
} as const;

let tls: TestAuthority;
beforeAll(async () => {
  tls = await testAuthority();
});
afterAll(() => tls[Symbol.asyncDispose]());

function clientThrough(proxy: string): HttpClient {
  return new HttpClient({
    retry: ONCE,
    settings: {
      connectOptions: () => Promise.resolve({ca: [tls.authority.cert]}),
      proxyFor: () => proxy,
    },
  });
}

it.each([
  ['the proxy', () => undefined],
  ['a proxy with TLS of its own', () => tls.server],
])('speaks TLS with the host itself, through a tunnel of %s', async (_what, ofProxy) => {
  const bytes = randomBytes(LARGE);
  await using proxy = await startTunnelProxy(ofProxy());
  await using server = await startHttpServer(
    (_request, response) => {
      response.writeHead(200, {'content-length': LARGE}).end(bytes);
    },
    {tls: tls.server},
  );
  await using http = clientThrough(proxy.url);
  const base = {
    url: new URL(server.url),
    side: 'source',
    signal: NEVER,
  } as const;
  const read = await http.send({...base, method: 'GET'});
  expect((await collect(read.chunks())).equals(bytes)).toBe(true);
  const body = {kind: 'stream', length: LARGE, chunks: streamOf([bytes])} as const;
  const sent = await http.send({...base, method: 'PUT', body});
  await sent.discard();
  expect(server.requests[1]?.body.equals(bytes)).toBe(true);
  expect(new Set(proxy.targets)).toEqual(new Set([server.host]));
});

it('still checks the certificate of the host', async () => {
  await using proxy = await startTunnelProxy();
  const {cert, key} = tls.otherServer;
  await using server = await startHttpServer(
    (_request, response) => {
      response.end();
    },
    {tls: {cert, key}},
  );
  await using http = clientThrough(proxy.url);
  const sending = http.send({
    method: 'GET',
    url: new URL(server.url),
    side: 'source',
    signal: NEVER,
    attempts: 1,
  });
  await expect(sending).rejects.toMatchObject({code: 'TLS_CERTIFICATE'});
});

/** What a proxy says to CONNECT, and what it may go on with for ever. */
const REFUSALS: readonly (readonly [string, string, string, object])[] = [
  ['wants a login', 'HTTP/1.1 407 Login\r\n\r\n', '', {code: 'CONNECTION_FAILED', retry: false}],
  ['forbids it', 'HTTP/1.1 403 No\r\n\r\n', 'page', {code: 'CONNECTION_FAILED', retry: false}],
  [
    'does not reach the host',
    'HTTP/1.1 503 No\r\n\r\n',
    '',
    {code: 'CONNECTION_FAILED', retry: true},
  ],
  ['is none', 'SSH-2.0-server\r\n', '', {code: 'RESPONSE_INVALID', retry: false}],
  ['sends headers without end', 'HTTP/1.1 200 OK\r\n', 'a: b\r\n', {code: 'RESPONSE_INVALID'}],
  ['sends a status line without end', 'HTTP/1.1 200 ', 'a', {code: 'RESPONSE_INVALID'}],
];

it.each(REFUSALS)('says that the proxy %s', async (_what, answer, more, error) => {
  await using proxy = await startRawServer((socket) => {
    socket.write(answer);
    if (more === '') return;
    const send = (): void => {
      while (!socket.destroyed && socket.write(more.repeat(4096)));
    };
    socket.on('drain', send);
    send();
  });
  await using http = clientThrough(proxy.url);
  const sending = http.send({...TO_REGISTRY, method: 'GET'});
  await expect(sending).rejects.toMatchObject({
    ...error,
    message: expect.stringContaining(`the proxy ${new URL(proxy.url).host}`),
  });
});

it.each(['http', 'https'])('says of %s that the proxy is not there', async (scheme) => {
  const proxy = await startRawServer(() => undefined);
  await proxy[Symbol.asyncDispose]();
  await using http = clientThrough(proxy.url);
  const url = new URL(`${scheme}://registry.example/v2/`);
  await expect(http.send({...TO_REGISTRY, url, method: 'GET'})).rejects.toMatchObject({
    code: 'CONNECTION_FAILED',
    message: expect.stringContaining(`the proxy ${new URL(proxy.url).host}: the connection was`),
    hint: expect.stringContaining('NO_PROXY'),
  });
});

it('speaks HTTP/1.1 with a proxy that has TLS of its own', async () => {
  const offered: string[][] = [];
  const server = createTlsServer({
    ...tls.server,
    ALPNCallback: ({protocols}) => {
      offered.push(protocols);
      return undefined;
    },
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  await using http = clientThrough(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await expect(http.send({...TO_REGISTRY, method: 'GET'})).rejects.toMatchObject({
    side: 'source',
  });
  server.close();
  expect(offered.flat()).not.toContain('h2');
  expect(offered).not.toHaveLength(0);
});

it('ends the extension of a chunk without end, also behind a proxy', async () => {
  await using proxy = await startTunnelProxy();
  const server = createTlsServer({...tls.server}, (socket) => {
    socket.on('error', () => undefined);
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;');
    const send = (): void => {
      while (!socket.destroyed && socket.write('a'.repeat(16_384)));
    };
    socket.on('drain', send);
    send();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await using http = clientThrough(proxy.url);
    const sending = http.send({
      method: 'GET',
      url: new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/`),
      side: 'source',
      signal: NEVER,
      readLimit: 1024,
    });
    await expect(sending).rejects.toMatchObject({code: 'RESPONSE_INVALID', retry: false});
  } finally {
    server.close();
  }
});
