import {describe, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {digestOf} from '../../src/model/digest.ts';
import {DEFAULT_RETRY} from '../../src/http/retry.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {endpointOf} from '../../src/registry/endpoint.ts';
import {Registry} from '../../src/registry/registry.ts';
import {testAuthority} from '../support/certificates.ts';
import {startHttpServer} from '../support/http-server.ts';
import {NEVER} from '../support/streams.ts';

describe('endpointOf', () => {
  it.each([
    ['docker.io', false, 'https://registry-1.docker.io/v2/'],
    ['registry.example', false, 'https://registry.example/v2/'],
    ['registry.example:5000', true, 'http://registry.example:5000/v2/'],
    ['127.0.0.1:5000', true, 'http://127.0.0.1:5000/v2/'],
    ['localhost:5000', false, undefined],
    ['[::1]:5000', false, undefined],
  ])('%s, plain HTTP %s', (host, plainHttp, url) => {
    expect(endpointOf(host, plainHttp)?.href).toBe(url);
  });
});

const has = (host: string, http: HttpClient) =>
  new Registry({host, side: 'source', http})
    .repository('a' as RepositoryPath)
    .hasBlob(digestOf('blob'), {signal: NEVER});

describe('a registry on this machine', () => {
  it('is spoken to without TLS, and asked for its scheme beside the first question', async () => {
    const both = Promise.withResolvers<void>();
    const targets = new Set<string>();
    await using server = await startHttpServer(({target}, response) => {
      targets.add(target);
      if (targets.size === 2) both.resolve();
      void both.promise.then(() => response.writeHead(200).end());
    });
    await using http = new HttpClient();
    expect(await has(server.host, http)).toBe(true);
    expect(targets).toEqual(new Set(['/v2/', `/v2/a/blobs/${digestOf('blob')}`]));
    expect(server.requests).toHaveLength(2);
  });

  it('is asked for its scheme before it is told to do something', async () => {
    await using server = await startHttpServer(({method}, response) => {
      response.writeHead(method === 'GET' ? 200 : 202).end();
    });
    await using http = new HttpClient();
    const repository = new Registry({host: server.host, side: 'destination', http}).repository(
      'a' as RepositoryPath,
    );
    await repository.deleteManifest(digestOf('manifest'), {signal: NEVER});
    expect(server.requests.map(({method}) => method)).toEqual(['GET', 'DELETE']);
  });

  it('is spoken to with TLS where it wants that', async () => {
    await using authority = await testAuthority();
    const tls = authority.server;
    await using server = await startHttpServer(
      (_request, response) => {
        response.writeHead(200).end();
      },
      {tls},
    );
    await using http = new HttpClient({
      // Long enough that no attempt after the first falls into the test.
      retry: {...DEFAULT_RETRY, baseMs: 3_600_000, capMs: 3_600_000},
      settings: {
        connectOptions: () => Promise.resolve({ca: [authority.authority.cert]}),
        proxyFor: () => undefined,
      },
    });
    expect(await has(server.host, http)).toBe(true);
    // Two without TLS and two with it: the question is not asked again where it was wrong.
    expect(server.connections()).toBeLessThanOrEqual(4);
    await using stranger = new HttpClient();
    await expect(has(server.host, stranger)).rejects.toMatchObject({code: 'TLS_CERTIFICATE'});
  });

  it('is spoken to with TLS where it says so, as Go does', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(400).end('Client sent an HTTP request to an HTTPS server.\n');
    });
    await using http = new HttpClient({
      retry: {attempts: 1, attemptsAt500: 1, baseMs: 1, capMs: 1, budgetMs: 1},
    });
    await expect(has(server.host, http)).rejects.toMatchObject({
      message: expect.stringContaining(`https://${server.host}`) as string,
    });
  });
});
