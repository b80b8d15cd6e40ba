import {once} from 'node:events';
import {createServer} from 'node:http';
import {type AddressInfo, connect} from 'node:net';
import {describe, expect, test} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {type Environment, proxyFromEnvironment} from '../../src/http/proxy.ts';
import {Redactor} from '../../src/http/redaction.ts';

function proxyFor(origin: string, env: Environment): string | undefined {
  return proxyFromEnvironment(env, new Redactor())(origin);
}

const ONE = 'http://one.example.com:3128/';
const TWO = 'http://two.example.com:3128/';

test.each<[string, Environment, string | undefined]>([
  ['https://r.example.com', {}, undefined],
  ['https://r.example.com', {HTTPS_PROXY: ONE}, ONE],
  ['https://r.example.com', {https_proxy: ONE}, ONE],
  ['https://r.example.com', {HTTPS_PROXY: ONE, https_proxy: TWO}, ONE],
  ['https://r.example.com', {HTTPS_PROXY: '', https_proxy: TWO}, TWO],
  ['https://r.example.com', {HTTP_PROXY: ONE}, undefined],
  ['http://r.example.com', {HTTP_PROXY: ONE, HTTPS_PROXY: TWO}, ONE],
  ['http://r.example.com', {http_proxy: ONE}, ONE],
  ['http://r.example.com', {HTTPS_PROXY: ONE}, undefined],
  ['https://r.example.com', {ALL_PROXY: ONE}, ONE],
  ['http://r.example.com', {all_proxy: ONE}, ONE],
  ['https://r.example.com', {ALL_PROXY: ONE, https_proxy: TWO}, TWO],
  ['https://r.example.com', {HTTPS_PROXY: 'one.example.com:3128'}, ONE],
  ['https://r.example.com', {HTTPS_PROXY: 'https://one.example.com'}, 'https://one.example.com/'],
  ['https://r.example.com', {HTTPS_PROXY: ONE, NO_PROXY: 'r.example.com'}, undefined],
  ['https://r.example.com', {HTTPS_PROXY: ONE, no_proxy: 'r.example.com'}, undefined],
])('%s with %o goes to %s', (origin, env, proxy) => {
  expect(proxyFor(origin, env)).toBe(proxy);
});

test.each(['localhost', 'a.localhost', '127.0.0.1', '127.9.9.9:5000', '[::1]:5000'])(
  '%s is never asked for through a proxy',
  (host) => {
    for (const scheme of ['http', 'https']) {
      expect(proxyFor(`${scheme}://${host}`, {ALL_PROXY: ONE})).toBeUndefined();
    }
  },
);

describe('NO_PROXY', () => {
  const R = 'https://r.example.com';
  test.each<[noProxy: string, origin: string, direct: boolean]>([
    ['example.com', R, true],
    ['example.com', 'https://example.com', true],
    ['example.com', 'https://badexample.com', false],
    ['example.com', 'https://example.com.evil.test', false],
    ['EXAMPLE.com', R, true],
    ['.example.com', R, true],
    ['.example.com', 'https://example.com', false],
    ['*.example.com', R, true],
    ['*.example.com', 'https://example.com', false],
    ['*', R, true],
    ['*', 'https://10.0.0.1', true],
    ['other.test, example.com', R, true],
    ['other.test example.com', R, true],
    ['', R, false],
    [',,.', R, false],
    ['r.example.com:443', R, true],
    ['r.example.com:5050', R, false],
    ['r.example.com:5050', `${R}:5050`, true],
    ['r.example.com:80', 'http://r.example.com', true],
    ['r.example.com', `${R}:5050`, true],
    ['10.0.0.1', 'https://10.0.0.1', true],
    ['10.0.0.1', 'https://10.0.0.10', false],
    ['10.0.0.1:5050', 'https://10.0.0.1:5050', true],
    ['10.0.0.1:5050', 'https://10.0.0.1', false],
    ['10.0.0.0/8', 'https://10.200.0.1:5050', true],
    ['10.0.0.0/8', 'https://11.0.0.1', false],
    ['10.0.0.0/33', 'https://10.0.0.1', false],
    ['10.0.0.0/8', 'https://10.example.com', false],
    ['fd00::/8', 'https://[fd12::1]:5050', true],
    ['fd00::/8', 'https://[fe80::1]', false],
    ['2001:db8::1', 'https://[2001:db8:0::1]', true],
    ['[2001:db8::1]:5050', 'https://[2001:db8::1]:5050', true],
    ['[2001:db8::1]:5050', 'https://[2001:db8::1]', false],
  ])('%s, asked for %s: direct %s', (noProxy, origin, direct) => {
    const proxy = proxyFor(origin, {ALL_PROXY: ONE, NO_PROXY: noProxy});
    expect(proxy).toBe(direct ? undefined : ONE);
  });
});

describe('the URL of a proxy', () => {
  test.each([
    ['socks5://one.example.com:1080', 'socks5://one.example.com:1080'],
    ['http://', 'http://'],
    ['one.example.com:99999', 'one.example.com:99999'],
    ['http://me:se%ZZcret@one.example.com', 'http://***@one.example.com'],
    ['me:sec@ret@one.example.com:99999', '***@one.example.com:99999'],
  ])('%s is wrong usage, without its password', (value, shown) => {
    const read = () => proxyFromEnvironment({https_proxy: value}, new Redactor());
    expect(read).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: `https_proxy="${shown}" is not the URL of a proxy`,
      }),
    );
  });

  test('its password is a secret', () => {
    const redactor = new Redactor();
    proxyFromEnvironment({HTTPS_PROXY: 'http://me:s%40crets@one.example.com'}, redactor);
    const header = Buffer.from('me:s@crets').toString('base64');
    const text = redactor.redact(`s@crets s%40crets Basic ${header}`);
    expect(text).toBe('*** *** Basic ***');
  });
});

test('a request goes through the proxy, with its credentials', async () => {
  const seen: unknown[] = [];
  const target = createServer((_, response) => response.end('hello'));
  const proxy = createServer((request, response) => {
    seen.push([request.method, request.url, request.headers['proxy-authorization']]);
    response.end('from the proxy');
  });
  proxy.on('connect', (request, socket) => {
    seen.push([request.method, request.url, request.headers['proxy-authorization']]);
    const {port} = target.address() as AddressInfo;
    const up = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      up.pipe(socket).pipe(up);
    });
    up.on('error', () => socket.destroy());
    socket.on('error', () => up.destroy());
  });
  await Promise.all(
    [target, proxy].map((server) => once(server.listen(0, '127.0.0.1'), 'listening')),
  );
  const {port} = proxy.address() as AddressInfo;
  try {
    const env = {HTTP_PROXY: `http://me:secret@127.0.0.1:${port}`};
    await using client = new HttpClient({
      settings: {
        connectOptions: () => Promise.resolve({}),
        proxyFor: proxyFromEnvironment(env, new Redactor()),
      },
    });
    const answer = await client.send({
      method: 'GET',
      url: new URL('http://registry.example.test/v2/'),
      side: 'source',
      signal: AbortSignal.timeout(30_000),
    });
    await answer.discard();
    expect(answer.status).toBe(200);
    expect(seen).toHaveLength(1);
    const [, url, authorization] = seen[0] as string[];
    expect(url).toMatch(/registry\.example\.test/);
    expect(authorization).toBe(`Basic ${Buffer.from('me:secret').toString('base64')}`);
  } finally {
    for (const server of [target, proxy]) {
      server.close();
      server.closeAllConnections();
    }
  }
});
