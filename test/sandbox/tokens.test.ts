import {describe, expect, test} from 'vitest';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import type {TokenOptions} from '../../src/sandbox/tokens.ts';
import {type Answer, codes, json, send, sha256} from './client.ts';

const USERS: TokenOptions['users'] = [
  {name: 'maintainer', password: 'hunter:2', grants: [{repository: 'group/**', actions: ['*']}]},
  {
    name: 'developer',
    password: 'secret',
    grants: [
      {repository: 'group/**', actions: ['pull', 'push']},
      {repository: 'shared/*', actions: ['pull']},
    ],
  },
  {name: 'admin', password: 'root', grants: [{repository: '**', actions: ['*']}]},
];

function startWithTokens(more: Partial<TokenOptions> = {}) {
  return startSandbox({auth: {kind: 'token', users: USERS, ...more}});
}

function basic(name: string, password: string): {readonly authorization: string} {
  return {authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`};
}

async function askToken(url: string, headers: Record<string, string>, ...scopes: string[]) {
  const query = scopes.map((scope) => `&scope=${encodeURIComponent(scope)}`).join('');
  return send('GET', `${url}/jwt/auth?service=container_registry${query}`, {headers});
}

function bearer(answer: Answer): {readonly authorization: string} {
  return {authorization: `Bearer ${(json(answer) as {token: string}).token}`};
}

function accessIn(answer: Answer): unknown {
  const [, payload = ''] = (json(answer) as {token: string}).token.split('.');
  return (JSON.parse(Buffer.from(payload, 'base64url').toString()) as {access: unknown}).access;
}

describe('the token service', () => {
  test('returns only the token, with the granted actions of repeated and joined scopes', async () => {
    await using sandbox = await startWithTokens();
    const answer = await askToken(
      sandbox.url,
      basic('developer', 'secret'),
      'repository:group/app:pull,push,delete',
      'repository:shared/base:pull,push repository:other/app:pull',
      'repository:group/Not A Name:pull',
      'registry:catalog:*',
    );
    expect(answer.status).toBe(200);
    expect(Object.keys(json(answer) as object)).toEqual(['token']);
    expect(accessIn(answer)).toEqual([
      {type: 'repository', name: 'group/app', actions: ['pull', 'push']},
      {type: 'repository', name: 'shared/base', actions: ['pull']},
    ]);
  });

  test('returns a token without access for valid credentials without permissions', async () => {
    await using sandbox = await startWithTokens();
    const answer = await askToken(sandbox.url, basic('maintainer', 'hunter:2'));
    expect(accessIn(answer)).toEqual([]);
    expect((await send('GET', `${sandbox.url}/v2/`, {headers: bearer(answer)})).status).toBe(200);
  });

  test('refuses a wrong password', async () => {
    await using sandbox = await startWithTokens();
    for (const headers of [basic('developer', 'wrong'), {authorization: 'Basic ???'}]) {
      const refused = await askToken(sandbox.url, headers, 'repository:group/app:pull');
      expect(refused.status).toBe(401);
      expect(codes(refused)).toEqual(['UNAUTHORIZED']);
    }
  });

  test('returns the anonymous permissions, or 403', async () => {
    await using sandbox = await startWithTokens({
      anonymous: [{repository: 'public/*', actions: ['pull']}],
    });
    const granted = await askToken(sandbox.url, {}, 'repository:public/app:pull,push');
    expect(accessIn(granted)).toEqual([
      {type: 'repository', name: 'public/app', actions: ['pull']},
    ]);
    const refused = await askToken(sandbox.url, {}, 'repository:group/app:pull');
    expect(refused.status).toBe(403);
    expect(codes(refused)).toEqual(['DENIED']);
  });

  test('has no POST, as GitLab has none', async () => {
    await using sandbox = await startWithTokens();
    expect((await send('POST', `${sandbox.url}/jwt/auth`)).status).toBe(404);
  });
});

describe('the registry', () => {
  test('says where a token is to be had, and for what', async () => {
    await using sandbox = await startWithTokens();
    const realm = `Bearer realm="${sandbox.url}/jwt/auth",service="container_registry"`;
    const challenge = async (method: string, path: string, headers = {}) => {
      const refused = await send(method, sandbox.url + path, {headers});
      expect(refused.status).toBe(401);
      expect(codes(refused)).toEqual(['UNAUTHORIZED']);
      return refused.headers.get('www-authenticate');
    };
    expect(await challenge('GET', '/v2/')).toBe(realm);
    const scope = (text: string) => `${realm},scope="${text}"`;
    expect(await challenge('GET', '/v2/g/a/tags/list')).toBe(scope('repository:g/a:pull'));
    expect(await challenge('PUT', '/v2/g/a/manifests/v1')).toBe(scope('repository:g/a:pull,push'));
    expect(await challenge('DELETE', '/v2/g/a/manifests/v1')).toBe(scope('repository:g/a:delete'));
    expect(await challenge('GET', '/v2/_catalog')).toBe(scope('registry:catalog:*'));
    const mount = `/v2/g/a/blobs/uploads/?mount=${sha256('x')}&from=g/b`;
    expect(await challenge('POST', mount)).toBe(
      scope('repository:g/a:pull,push repository:g/b:pull'),
    );
    expect(await challenge('GET', '/v2/', {authorization: 'Bearer a.b.c'})).toBe(
      `${realm},error="invalid_token"`,
    );
    const token = await askToken(sandbox.url, basic('developer', 'secret'));
    expect(await challenge('GET', '/v2/g/a/tags/list', bearer(token))).toBe(
      `${scope('repository:g/a:pull')},error="insufficient_scope"`,
    );
  });

  test('takes a token until its end and the leeway after it', async () => {
    let now = Date.now();
    await using sandbox = await startWithTokens({
      tokenLifeSeconds: 300,
      leewaySeconds: 60,
      clock: () => now,
    });
    const headers = bearer(await askToken(sandbox.url, basic('developer', 'secret')));
    const status = async () => (await send('GET', `${sandbox.url}/v2/`, {headers})).status;
    now += 359_000;
    expect(await status()).toBe(200);
    now += 1_000;
    expect(await status()).toBe(401);
    now -= 1_000_000;
    expect(await status()).toBe(401);
  });

  test('takes no token that another service signed, or that was changed', async () => {
    await using sandbox = await startWithTokens();
    await using other = await startWithTokens();
    const token = await askToken(other.url, basic('admin', 'root'));
    const status = async (headers: Record<string, string>) =>
      (await send('GET', `${sandbox.url}/v2/`, {headers})).status;
    expect(await status(bearer(token))).toBe(401);

    const good = bearer(await askToken(sandbox.url, basic('developer', 'secret'))).authorization;
    const [header = '', payload = '', signature = ''] = good.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
    const access = [{type: 'registry', name: 'catalog', actions: ['*']}];
    const forged = Buffer.from(JSON.stringify({...claims, access})).toString('base64url');
    expect(await status({authorization: good})).toBe(200);
    expect(await status({authorization: `${header}.${forged}.${signature}`})).toBe(401);
    expect(await status({authorization: `${header}.${forged}.`})).toBe(401);
  });

  test('mounts without a named repository only from where the token may pull', async () => {
    await using sandbox = await startWithTokens();
    const admin = async (...scopes: string[]) =>
      bearer(await askToken(sandbox.url, basic('admin', 'root'), ...scopes));
    const opened = await send('POST', `${sandbox.url}/v2/secret/app/blobs/uploads/`, {
      headers: await admin('repository:secret/app:pull,push'),
    });
    const digest = sha256('blob');
    await send('PUT', `${opened.headers.get('location')}&digest=${digest}`, {
      headers: await admin('repository:secret/app:pull,push'),
      body: 'blob',
    });
    const mount = async (headers: Record<string, string>) =>
      (await send('POST', `${sandbox.url}/v2/group/app/blobs/uploads/?mount=${digest}`, {headers}))
        .status;
    const scope = 'repository:group/app:pull,push';
    const developer = bearer(await askToken(sandbox.url, basic('developer', 'secret'), scope));
    expect(await mount(developer)).toBe(202);
    expect(await mount(await admin(scope, 'repository:secret/app:pull'))).toBe(201);
  });
});

test('with names and passwords, each request shows them', async () => {
  const anonymous = [{repository: 'public/*', actions: ['pull']}] as const;
  await using sandbox = await startSandbox({auth: {kind: 'basic', users: USERS, anonymous}});
  const status = async (path: string, headers: Record<string, string> = {}) =>
    (await send('GET', sandbox.url + path, {headers})).status;
  expect(await status('/v2/')).toBe(401);
  expect(await status('/v2/', basic('developer', 'wrong'))).toBe(401);
  expect(await status('/v2/', basic('developer', 'secret'))).toBe(200);
  expect(await status('/v2/group/app/tags/list')).toBe(401);
  expect(await status('/v2/group/app/tags/list', basic('developer', 'secret'))).toBe(404);
  expect(await status('/v2/other/app/tags/list', basic('developer', 'secret'))).toBe(403);
  expect(await status('/v2/public/app/tags/list')).toBe(404);
  const push = await send('POST', `${sandbox.url}/v2/public/app/blobs/uploads/`);
  expect(push.status).toBe(401);
});
