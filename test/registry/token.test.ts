import {describe, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {covers, mergeScopes, missingActions, parseScopes} from '../../src/registry/scope.ts';
import {parseToken} from '../../src/registry/token.ts';
import {fetchToken, type TokenRequest} from '../../src/registry/token-service.ts';
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
    ]);
    expect(parseScopes(undefined)).toEqual([]);
  });

  it('are merged by resource', () => {
    const merged = mergeScopes(
      parseScopes('repository:b:push repository:a:pull repository:b:pull,push'),
    );
    expect(merged).toEqual(parseScopes('repository:a:pull repository:b:pull,push'));
  });

  it('tell what is missing', () => {
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
  plainHttp: false,
  side: 'destination',
  signal: NEVER,
  now: () => NOW,
  ...more,
});

describe('fetchToken', () => {
  const credentials = {kind: 'basic', username: 'me', password: 'secret'} as const;

  it('does not send credentials over plain HTTP on the word of a registry with TLS', async () => {
    await using http = new HttpClient();
    const request = wanted('http://tokens.example/', {credentials});
    await expect(fetchToken(http, request)).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: expect.stringContaining('without TLS') as string,
    });
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
