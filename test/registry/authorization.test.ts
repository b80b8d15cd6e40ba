import {describe, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {digestOf} from '../../src/model/digest.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import type {Credentials} from '../../src/registry/credentials/credentials.ts';
import {Registry} from '../../src/registry/registry.ts';
import {pullScope, pushScope} from '../../src/registry/scope.ts';
import {sendError, startHttpServer} from '../support/http-server.ts';
import {NEVER, streamOf} from '../support/streams.ts';
import {startTokenRegistry, unsignedJwt} from '../support/token-registry.ts';
import type {RegistryOptions} from '../../src/registry/registry-options.ts';

const call = {signal: NEVER};
const digest = digestOf('blob');
const known = {digest, size: 4};
const path = 'group/project' as RepositoryPath;
const basic: Credentials = {kind: 'basic', username: 'me', password: 'secret'};
const basicHeader = `Basic ${Buffer.from('me:secret').toString('base64')}`;

function open(http: HttpClient, host: string, more: Partial<RegistryOptions> = {}) {
  return new Registry({host, side: 'source', http, plainHttp: true, ...more});
}

const as = (credentials: Credentials) => ({credentials: () => Promise.resolve(credentials)});

/** A registry for one user. */
const serveBasic = () =>
  startHttpServer((request, response) => {
    const isGood = request.headers.authorization === basicHeader;
    const challenge = {'www-authenticate': 'Basic realm="registry"'};
    if (isGood) response.writeHead(200).end();
    else sendError(response, 401, 'UNAUTHORIZED', challenge);
  });

describe('a registry that asks for nothing', () => {
  it('is told nothing', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(200).end();
    });
    await using http = new HttpClient();
    const repository = open(http, server.host, as(basic)).repository(path);
    await Promise.all([1, 2, 3].map(() => repository.hasBlob(known, call)));
    expect(server.requests).toHaveLength(3);
    for (const {headers} of server.requests) expect(headers).not.toHaveProperty('authorization');
  });
});

describe('a registry that asks for basic authentication', () => {
  it('gets it, beforehand from the second request on', async () => {
    await using server = await serveBasic();
    await using http = new HttpClient();
    const repository = open(http, server.host, as(basic)).repository(path);
    expect(await repository.hasBlob(known, call)).toBe(true);
    expect(await repository.hasBlob(known, call)).toBe(true);
    const sent = server.requests.map(({headers}) => headers.authorization);
    expect(sent).toEqual([undefined, basicHeader, basicHeader]);
  });

  it.each([undefined, {...basic, password: 'wrong'}])('refuses others: %o', async (credentials) => {
    await using server = await serveBasic();
    await using http = new HttpClient();
    const options = {credentials: () => Promise.resolve(credentials)};
    const repository = open(http, server.host, options).repository(path);
    await expect(repository.hasBlob(known, call)).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      side: 'source',
      message: expect.not.stringContaining('wrong') as string,
    });
    expect(server.requests).toHaveLength(credentials ? 2 : 1);
  });
});

describe('a registry that asks for tokens', () => {
  it('sends one request to find that out, and gets one token for all', async () => {
    await using server = await startTokenRegistry();
    await using http = new HttpClient();
    const learned: string[] = [];
    const options = {...as(basic), learnToken: (token: string) => learned.push(token)};
    const repository = open(http, server.registry.host, options).repository(path);
    await Promise.all(Array.from({length: 20}, () => repository.hasBlob(known, call)));
    expect(server.registry.requests).toHaveLength(21);
    expect(server.service.requests).toHaveLength(1);
    const [request] = server.service.requests;
    expect(request?.headers.authorization).toBe(basicHeader);
    expect(request?.url.searchParams.get('service')).toBe('registry');
    expect([...server.given.values()]).toEqual([[`repository:${path}:pull`]]);
    expect(learned).toEqual(['token-1']);
  });

  it('is not shown the credentials', async () => {
    await using server = await startTokenRegistry();
    await using http = new HttpClient();
    await open(http, server.registry.host, as(basic)).repository(path).hasBlob(known, call);
    for (const {headers} of server.registry.requests) {
      expect(headers.authorization ?? 'Bearer').toMatch(/^Bearer/);
    }
  });

  it('protects its tags with 401, which no new token changes', async () => {
    await using server = await startTokenRegistry({
      answer: (_request, response) => sendError(response, 401, 'PROTECTED_TAG'),
    });
    await using http = new HttpClient();
    const repository = open(http, server.registry.host).repository(path);
    await expect(repository.deleteTag('v1' as Tag, call)).rejects.toMatchObject({
      code: 'PROTECTED',
      status: 401,
    });
    expect(server.service.requests).toHaveLength(1);
    expect([...server.given.values()]).toEqual([[`repository:${path}:delete,pull`]]);
  });

  it('does not lend its credentials to where it redirects', async () => {
    await using thief = await startTokenRegistry();
    await using server = await startTokenRegistry({
      answer: (_request, response) =>
        void response.writeHead(307, {location: `${thief.registry.url}/blob`}).end(),
    });
    await using http = new HttpClient();
    const repository = open(http, server.registry.host, as(basic)).repository(path);
    const blob = {mediaType: 'a/b', digest, size: 4};
    for (let n = 0; n < 2; n++) {
      const opening = repository.openBlob(blob, {offset: 0}, call);
      await expect(opening).rejects.toMatchObject({code: 'UNAUTHORIZED'});
    }
    expect(thief.registry.requests).toHaveLength(2);
    for (const {headers} of thief.registry.requests) {
      expect(headers).not.toHaveProperty('authorization');
    }
    expect(thief.service.requests).toHaveLength(0);
  });

  it('gets a new token for one that it refuses, once, and keeps the others', async () => {
    await using server = await startTokenRegistry();
    await using http = new HttpClient();
    const registry = open(http, server.registry.host);
    const [one, other] = [path, 'other' as RepositoryPath].map((name) => registry.repository(name));
    await one?.hasBlob(known, call);
    await other?.hasBlob(known, call);
    server.revoke('token-1');
    expect(await one?.hasBlob(known, call)).toBe(true);
    expect(await other?.hasBlob(known, call)).toBe(true);
    expect(server.service.requests).toHaveLength(3);
    server.revoke('token-3');
    server.revoke('token-4');
    await expect(one?.hasBlob(known, call)).rejects.toMatchObject({code: 'UNAUTHORIZED'});
    expect(server.service.requests).toHaveLength(4);
  });

  it('gets a new token before the old one ends', async () => {
    await using server = await startTokenRegistry();
    await using http = new HttpClient();
    let now = 1_000_000;
    const options = {now: () => now};
    const repository = open(http, server.registry.host, options).repository(path);
    await repository.hasBlob(known, call);
    now += 239_000;
    await repository.hasBlob(known, call);
    expect(server.service.requests).toHaveLength(1);
    now += 2_000;
    await repository.hasBlob(known, call);
    expect(server.service.requests).toHaveLength(2);
    expect(server.registry.requests.at(-1)?.headers.authorization).toBe('Bearer token-2');
  });

  it('asks for both repositories in one token where a blob is mounted', async () => {
    await using server = await startTokenRegistry({
      answer: (_request, response) =>
        void response.writeHead(201, {'docker-content-digest': digest}).end(),
    });
    await using http = new HttpClient();
    const to = open(http, server.registry.host).repository(path);
    const blob = {mediaType: 'a/b', digest, size: 4};
    expect(await to.mount(blob, 'from/here' as RepositoryPath, call)).toEqual({kind: 'mounted'});
    const scopes = [...server.given.values()][0];
    expect(scopes).toEqual(['repository:from/here:pull', `repository:${path}:pull,push`]);
    const {method, url} = server.registry.requests.at(-1) ?? {};
    expect(method).toBe('POST');
    expect(Object.fromEntries(url?.searchParams ?? [])).toEqual({mount: digest, from: 'from/here'});
  });

  it('is not asked to mount what the token does not allow to read', async () => {
    await using server = await startTokenRegistry({
      token: () => ({
        token: unsignedJwt({access: [{type: 'repository', name: path, actions: ['pull', 'push']}]}),
      }),
    });
    await using http = new HttpClient();
    const to = open(http, server.registry.host).repository(path);
    await to.hasBlob({digest, size: 4}, call);
    const sent = server.registry.requests.length;
    const blob = {mediaType: 'a/b', digest, size: 4};
    const outcome = await to.mount(blob, 'secret/project' as RepositoryPath, call);
    expect(outcome).toEqual({kind: 'declined'});
    expect(server.registry.requests).toHaveLength(sent);
  });

  it('reports what was granted', async () => {
    const granted = [{type: 'repository', name: path, actions: ['pull']}];
    await using server = await startTokenRegistry({
      token: () => ({token: unsignedJwt({access: granted})}),
    });
    await using http = new HttpClient();
    const registry = open(http, server.registry.host);
    expect(await registry.granted(path, pushScope(path), call)).toEqual([pullScope(path)]);
  });

  it('is asked for what it names beyond the usual scope', async () => {
    await using server = await startTokenRegistry({scope: `repository:mirror/${path}:pull`});
    await using http = new HttpClient();
    const repository = open(http, server.registry.host).repository(path);
    await repository.hasBlob(known, call);
    await repository.hasBlob(known, call);
    expect([...server.given.values()]).toEqual([
      [`repository:${path}:pull`, `repository:mirror/${path}:pull`],
    ]);
  });

  it('is requested with unknown scopes at every need, before the next challenge', async () => {
    await using server = await startTokenRegistry({scope: 'aws'});
    await using http = new HttpClient();
    const registry = open(http, server.registry.host);
    await registry.repository(path).hasBlob(known, call);
    await registry.repository('other' as RepositoryPath).hasBlob(known, call);
    expect([...server.given.values()]).toEqual([
      [`repository:${path}:pull`, 'aws'],
      ['repository:other:pull', 'aws'],
    ]);
  });

  it('takes an identity token to the token service, and a registry token to the registry', async () => {
    await using server = await startTokenRegistry();
    await using http = new HttpClient();
    const {host} = server.registry;
    const identity = open(http, host, as({kind: 'identity-token', token: 'refresh'}));
    await identity.repository(path).hasBlob(known, call);
    const [request] = server.service.requests;
    expect(request?.method).toBe('POST');
    expect(Object.fromEntries(new URLSearchParams(request?.body.toString()))).toEqual({
      grant_type: 'refresh_token',
      client_id: 'transship',
      refresh_token: 'refresh',
      service: 'registry',
      scope: `repository:${path}:pull`,
    });

    const given = open(http, host, as({kind: 'registry-token', token: 'fixed'}));
    await given.repository(path).hasBlob(known, call);
    expect(server.registry.requests.at(-1)?.headers.authorization).toBe('Bearer fixed');
    expect(server.service.requests).toHaveLength(1);
  });

  it('does not get a stream again after a 401, but a new token the next time', async () => {
    await using server = await startTokenRegistry({
      answer: (_request, response) =>
        void response.writeHead(202, {location: '/v2/upload', range: '0-3'}).end(),
    });
    await using http = new HttpClient();
    const to = open(http, server.registry.host).repository(path);
    const upload = await to.beginUpload({mediaType: 'a/b', digest, size: 8}, call);
    server.revoke('token-1');
    const append = () => upload.append(streamOf([Buffer.from('blob')]), 4, call);
    await expect(append()).rejects.toMatchObject({code: 'UNAUTHORIZED', retry: true});
    expect(await append()).toBe(4);
    expect(server.registry.requests.at(-1)?.headers.authorization).toBe('Bearer token-2');
  });
});
