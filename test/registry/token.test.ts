import {describe, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {covers, mergeScopes, missingActions, parseScopes} from '../../src/registry/scope.ts';
import {fetchToken, parseToken, type TokenRequest} from '../../src/registry/token.ts';
import {sendJson, startHttpServer} from '../support/http-server.ts';
import {NEVER} from '../support/streams.ts';
import {unsignedJwt} from '../support/token-registry.ts';

const NOW = 1_700_000_000_000;

describe('parseToken', () => {
  it.each([
    ['the announced life', {token: 't', expires_in: 300}, 240_000],
    ['access_token', {access_token: 't', expires_in: 900}, 840_000],
    ['a short life: two thirds of it', {token: 't', expires_in: 9}, 6_000],
    ['no word about it: a minute', {token: 't'}, 40_000],
    ['null', {token: 't', access_token: null, expires_in: null}, 40_000],
    ['a JWT, whatever its clock', {token: unsignedJwt({iat: 5, exp: 305})}, 240_000],
    ['a JWT without iat', {token: unsignedJwt({exp: NOW / 1000 + 300})}, 240_000],
    ['a JWT that has ended', {token: unsignedJwt({exp: 5})}, 0],
  ])('finds the time to renew in %s', (_what, answer, ms) => {
    expect(parseToken(answer, NOW)?.renewAt).toBe(NOW + ms);
  });

  it('reads what a JWT allows, and nothing from other tokens', () => {
    const access = [{type: 'repository', name: 'a/b', actions: ['pull', 'push']}];
    expect(parseToken({token: unsignedJwt({access})}, NOW)?.granted).toEqual([
      {resource: 'repository:a/b', actions: ['pull', 'push']},
    ]);
    expect(parseToken({token: unsignedJwt({access: []})}, NOW)?.granted).toEqual([]);
    for (const token of ['opaque', 'a.b.c', unsignedJwt({}), unsignedJwt({access: 'all'})]) {
      expect(parseToken({token}, NOW)).toMatchObject({granted: undefined});
    }
  });

  it.each([undefined, null, {}, {token: ''}, {token: 5}, [], 'token'])(
    'finds none in %o',
    (answer) => {
      expect(parseToken(answer, NOW)).toBeUndefined();
    },
  );
});

describe('scopes', () => {
  it('are read from a challenge', () => {
    expect(parseScopes('repository:h:5000/a:pull,push  registry:catalog:* aws')).toEqual([
      {resource: 'repository:h:5000/a', actions: ['pull', 'push']},
      {resource: 'registry:catalog', actions: ['*']},
      {resource: 'aws', actions: []},
    ]);
    expect(parseScopes(undefined)).toEqual([]);
  });

  it('are merged by resource', () => {
    const merged = mergeScopes(
      parseScopes('repository:b:push repository:a:pull repository:b:pull,push'),
    );
    expect(merged).toEqual(parseScopes('repository:a:pull repository:b:pull,push'));
  });

  it('report what is missing', () => {
    const have = parseScopes('repository:a:pull repository:b:*');
    const [a, b, c] = parseScopes('repository:a:pull,push repository:b:delete repository:c:pull');
    if (!a || !b || !c) throw new Error('three scopes');
    expect(missingActions(have, a)).toEqual(['push']);
    expect(missingActions(have, b)).toEqual([]);
    expect(missingActions(have, c)).toEqual(['pull']);
    expect(covers(have, [b])).toBe(true);
    expect(covers(have, [a, b])).toBe(false);
  });
});

const wanted = (realm: string, more: Partial<TokenRequest> = {}): TokenRequest => ({
  service: {realm, service: undefined},
  scopes: [],
  credentials: undefined,
  registry: new URL('http://127.0.0.1:5000/v2/'),
  side: 'destination',
  signal: NEVER,
  now: () => NOW,
  ...more,
});

describe('fetchToken', () => {
  const credentials = {kind: 'basic', username: 'me', password: 'secret'} as const;

  it.each([
    ['without TLS', 'http://tokens.example/'],
    ['at a private address', 'https://10.0.0.1/token'],
    ['at the metadata service', 'http://169.254.169.254/latest'],
    ['at the metadata service behind NAT64', 'https://[64:ff9b::a9fe:a9fe]/latest'],
    ['on this machine', 'https://localhost/token'],
  ])('does not contact a realm %s for a public registry with TLS', async (_what, realm) => {
    await using http = new HttpClient();
    const registry = new URL('https://registry.example/v2/');
    for (const login of [credentials, undefined]) {
      const request = wanted(realm, {registry, credentials: login});
      await expect(fetchToken(http, request)).rejects.toMatchObject({
        code: 'REDIRECT_REFUSED',
        message: expect.stringContaining('the realm of the token service leads') as string,
        hint: expect.stringContaining('--allow-unsafe-redirects registry.example') as string,
      });
    }
  });

  it('does not take an identity token to where the token service redirects', async () => {
    await using other = await startHttpServer((_request, response) => void response.end());
    await using service = await startHttpServer((_request, response) => {
      response.writeHead(307, {location: `${other.url}/token`}).end();
    });
    await using http = new HttpClient();
    const identity = {kind: 'identity-token', token: 'refresh'} as const;
    const request = wanted(`${service.url}/token`, {credentials: identity});
    await expect(fetchToken(http, request)).rejects.toMatchObject({code: 'REDIRECT_REFUSED'});
    expect(other.requests).toEqual([]);
  });

  it.each([200, 401])('names the page that answers %i in place of a token', async (status) => {
    await using service = await startHttpServer((_request, response) => {
      response.writeHead(status, {'content-type': 'text/html'});
      response.end('<!doctype html><title lang="en">Sign in</title><p>secret');
    });
    await using http = new HttpClient();
    const failing = fetchToken(http, wanted(`${service.url}/token`));
    await expect(failing).rejects.toThrow('Sign in');
    await expect(failing).rejects.not.toThrow('secret');
  });

  it.each([
    ['text', 'AKIA-secret of the metadata service'],
    ['details', JSON.stringify({errors: [{code: 'DENIED', detail: {token: 'secret'}}]})],
    ['other fields', JSON.stringify({error: 'denied', password: 'secret'})],
  ])('quotes nothing of the answer but codes and their descriptions, with %s', async (_w, body) => {
    await using service = await startHttpServer((_request, response) => {
      response.writeHead(403).end(body);
    });
    await using http = new HttpClient();
    const failing = fetchToken(http, wanted(`${service.url}/token`));
    await expect(failing).rejects.toMatchObject({code: 'UNAUTHORIZED'});
    await expect(failing).rejects.not.toThrow('secret');
  });

  it.each(['/relative', 'ftp://tokens.example/', ''])('refuses the realm "%s"', async (realm) => {
    await using http = new HttpClient();
    await expect(fetchToken(http, wanted(realm))).rejects.toMatchObject({code: 'RESPONSE_INVALID'});
  });

  it.each([
    [401, {errors: [{code: 'UNAUTHORIZED', message: 'HTTP Basic: Access denied'}]}, 'UNAUTHORIZED'],
    [403, {errors: [{code: 'DENIED', message: 'access forbidden'}]}, 'FORBIDDEN'],
    [400, {error: 'invalid_request', error_description: 'what?'}, 'REGISTRY_REFUSED'],
    [200, {}, 'RESPONSE_INVALID'],
  ])('explains an answer of %i %o', async (status, body, code) => {
    await using service = await startHttpServer((_request, response) => {
      sendJson(response, status, body);
    });
    await using http = new HttpClient();
    const failing = fetchToken(http, wanted(`${service.url}/token?a=b`, {credentials}));
    await expect(failing).rejects.toMatchObject({
      code,
      side: 'destination',
      message: expect.not.stringContaining('secret') as string,
    });
    expect(service.requests[0]?.url.searchParams.get('a')).toBe('b');
  });
});
