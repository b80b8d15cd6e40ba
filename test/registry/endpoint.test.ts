import {describe, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {digestOf} from '../../src/model/digest.ts';
import {DEFAULT_RETRY} from '../../src/http/retry.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {endpointOf} from '../../src/registry/connection.ts';
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
    .hasBlob({digest: digestOf('blob'), size: 4}, {signal: NEVER});

describe('a registry on this machine', () => {
  it('is spoken to without TLS, and asked for its scheme once', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(200).end();
    });
    await using http = new HttpClient();
    const registry = new Registry({host: server.host, side: 'source', http});
    const repository = registry.repository('a' as RepositoryPath);
    for (const name of ['one', 'two'])
      expect(
        await repository.hasBlob({digest: digestOf(name), size: name.length}, {signal: NEVER}),
      ).toBe(true);
    expect(server.requests.map(({target}) => target)).toEqual([
      '/v2/',
      `/v2/a/blobs/${digestOf('one')}`,
      `/v2/a/blobs/${digestOf('two')}`,
    ]);
  });

  it('is asked for its scheme before the first change', async () => {
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
    // One without TLS, and one or two with it: the question is not asked again where it was wrong.
    expect(server.connections()).toBeLessThanOrEqual(3);
    await using stranger = new HttpClient();
    await expect(has(server.host, stranger)).rejects.toMatchObject({code: 'TLS_CERTIFICATE'});
  });

  it('is used with TLS if it requires that, as Go does', async () => {
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
