import {describe, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import type {HttpBody, HttpRequest} from '../../src/http/request.ts';
import {Redirects, resolveHop} from '../../src/http/redirect.ts';
import {get} from '../support/http-request.ts';
import {startHttpServer} from '../support/http-server.ts';

/** The request that follows the redirect of a POST. */
function afterPost(body: HttpBody, status: number): HttpRequest | undefined {
  const post = get('https://a.example/', {method: 'POST', body});
  return new Redirects().next(post, status, '/2');
}

describe('resolveHop', () => {
  it.each([
    ['https://a.example/v2/x', '/y?z=1', 'https://a.example/y?z=1'],
    ['https://a.example/v2/x', 'https://storage.example/y#part', 'https://storage.example/y'],
    ['http://a.example/', 'https://a.example/', 'https://a.example/'],
    ['https://10.0.0.1/', 'https://10.0.0.2/', 'https://10.0.0.2/'],
    ['http://localhost:5000/', 'http://localhost:9000/', 'http://localhost:9000/'],
    ['https://127.0.0.1/', 'http://127.0.0.1:9000/', 'http://127.0.0.1:9000/'],
    ['http://localhost:5000/', 'http://192.168.1.5:9000/', 'http://192.168.1.5:9000/'],
    ['https://10.0.0.1/', 'https://storage.example/', 'https://storage.example/'],
  ])('from %s to %s', (url, location, to) => {
    expect(resolveHop(location, get(url)).href).toBe(to);
  });

  it.each([
    ['http after https', 'https://a.example/', 'http://a.example/'],
    ['a private address', 'https://a.example/', 'https://169.254.169.254/latest'],
    ['its IPv6 form behind NAT64', 'https://a.example/', 'https://[64:ff9b::a9fe:a9fe]/'],
    ['its mapped form', 'https://a.example/', 'https://[::ffff:10.0.0.1]/'],
    ['a number that is an address', 'https://a.example/', 'https://2852039166/latest'],
    ['a link-local address after a private one', 'https://10.0.0.1/', 'https://169.254.169.254/'],
    ['a link-local address after this machine', 'http://localhost:5000/', 'http://169.254.1.1/'],
    ['this machine after a private one', 'https://10.0.0.1/', 'https://127.0.0.1/'],
    ['a loopback name', 'https://a.example/', 'https://localhost/'],
    ['another protocol', 'https://a.example/', 'file:///etc/passwd'],
    ['a user name', 'https://a.example/', 'https://me:secret@b.example/'],
    ['nonsense', 'https://a.example/', 'https://['],
  ])('refuses %s', (_what, url, location) => {
    expect(() => resolveHop(location, get(url))).toThrow(
      expect.objectContaining({
        code: 'REDIRECT_REFUSED',
        message: expect.not.stringContaining('secret'),
      }),
    );
  });
});

/** Where the user allows `a.example` to lead anywhere. */
const resolveAllowed = (location: string, url: string): URL =>
  resolveHop(location, get(url), 'redirect', (host) => host === 'a.example');

describe('resolveHop, of a host that the user allows to lead anywhere,', () => {
  it.each(['http://b.example/', 'https://10.0.0.1/', 'http://169.254.169.254/'])(
    'takes %s',
    (location) => {
      expect(resolveAllowed(location, 'https://a.example/').href).toBe(location);
    },
  );

  it('names the flag, and takes nothing of others or by other protocols', () => {
    expect(() => resolveAllowed('https://10.0.0.1/', 'https://b.example/')).toThrow(
      expect.objectContaining({
        code: 'REDIRECT_REFUSED',
        hint: expect.stringContaining('--allow-unsafe-redirects b.example') as string,
      }),
    );
    expect(() => resolveAllowed('ftp://a.example/', 'https://a.example/')).toThrow('leads to ftp:');
  });
});

describe('Redirects', () => {
  it('keeps the authorization within the origin, and loses it for good beyond', () => {
    const redirects = new Redirects();
    const first = get('https://a.example/1', {authorization: 'Bearer t'});
    const second = redirects.next(first, 307, '/2');
    expect(second?.authorization).toBe('Bearer t');
    const third = second && redirects.next(second, 302, 'https://b.example/3');
    expect(third).not.toHaveProperty('authorization');
    const fourth = third && redirects.next(third, 302, 'https://a.example/4');
    expect(fourth?.url.href).toBe('https://a.example/4');
    expect(fourth).not.toHaveProperty('authorization');
  });

  it('refuses a circle and an endless chain', () => {
    const circle = new Redirects();
    const a = get('https://a.example/1');
    const b = circle.next(a, 302, '/2');
    expect(() => b && circle.next(b, 302, '/1')).toThrow('loop');

    const chain = new Redirects();
    const follow = () => {
      let request: HttpRequest | undefined = a;
      for (let n = 0; request && n < 50; n++) request = chain.next(request, 302, `/hop${n}`);
    };
    expect(follow).toThrow('limit of 6');
  });

  it('never takes a body with credentials to another origin', () => {
    const body = {kind: 'bytes', bytes: Buffer.from('refresh_token=x'), secret: true} as const;
    const post = get('https://a.example/token', {method: 'POST', body});
    expect(new Redirects().next(post, 307, '/elsewhere')?.body).toBe(body);
    for (const location of ['https://b.example/token', 'https://a.example:8443/token'])
      expect(() => new Redirects().next(post, 308, location)).toThrow(
        expect.objectContaining({code: 'REDIRECT_REFUSED'}),
      );
  });

  it('follows a write only where method and body can stay', () => {
    const bytes = {kind: 'bytes', bytes: new Uint8Array(1)} as const;
    const stream = {kind: 'stream', length: 1, chunks: (async function* () {})()} as const;
    expect(afterPost(bytes, 307)?.body).toBe(bytes);
    expect(afterPost(bytes, 302)).toBeUndefined();
    expect(afterPost(stream, 307)).toBeUndefined();
    expect(new Redirects().next(get('https://a.example/'), 307, undefined)).toBeUndefined();
  });
});

describe('HttpClient, redirected', () => {
  it('requests a signed URL unchanged', async () => {
    const query = "?sig=a'b(c)*!%2b&y=[1]&z=%20+q";
    await using storage = await startHttpServer((_request, response) => void response.end());
    await using registry = await startHttpServer((_request, response) => {
      response.writeHead(307, {location: `${storage.url}/data//x%2Fy${query}#part`}).end();
    });
    await using http = new HttpClient();
    await (await http.send(get(registry.url))).discard();
    expect(storage.requests[0]?.target).toBe(`/data//x%2Fy${query}`);
  });

  it('keeps the range, and sends no authorization to the storage', async () => {
    await using storage = await startHttpServer((_request, response) => {
      response.writeHead(206, {'content-range': 'bytes 5-9/10'}).end('56789');
    });
    await using registry = await startHttpServer((_request, response) => {
      response.writeHead(307, {location: `${storage.url}/blob?sig=1`}).end('moved');
    });
    await using http = new HttpClient();
    const answer = await http.send(
      get(`${registry.url}/v2/a`, {authorization: 'Bearer t', headers: {range: 'bytes=5-9'}}),
    );
    expect(Buffer.from((await answer.read(100)).bytes).toString()).toBe('56789');
    expect(answer.request.url.href).toBe(`${storage.url}/blob?sig=1`);
    expect(registry.requests[0]?.headers.authorization).toBe('Bearer t');
    expect(storage.requests[0]?.headers).toMatchObject({
      range: 'bytes=5-9',
      'accept-encoding': 'identity',
    });
    expect(storage.requests[0]?.headers).not.toHaveProperty('authorization');
  });
});
