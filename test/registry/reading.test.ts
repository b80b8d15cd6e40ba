import {readFile} from 'node:fs/promises';
import {brotliCompressSync, deflateSync, gzipSync, zstdCompressSync} from 'node:zlib';
import {describe, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {digestOf} from '../../src/model/digest.ts';
import {DOCKER_SCHEMA1_SIGNED, MANIFEST_ACCEPT, OCI_MANIFEST} from '../../src/model/media-type.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {Registry} from '../../src/registry/registry.ts';
import {type Handler, startHttpServer} from '../support/http-server.ts';
import {fixture} from '../support/fixtures.ts';
import {againstRegistry} from '../support/registry-rig.ts';
import {collect, NEVER} from '../support/streams.ts';
import type {RegistryNotice} from '../../src/registry/registry-options.ts';

const call = {signal: NEVER};
const tag = 'v1' as Tag;
const config = {
  mediaType: 'application/vnd.oci.image.config.v1+json',
  digest: digestOf('{}'),
  size: 2,
};
const manifest = Buffer.from(
  JSON.stringify({schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: []}),
);
const digest = digestOf(manifest);

const give =
  (headers: Record<string, string>, body = manifest): Handler =>
  ({method}, response) => {
    response.writeHead(200, {'content-length': String(body.length), ...headers});
    response.end(method === 'HEAD' ? undefined : body);
  };

const withoutHead: Handler = (request, response) =>
  request.method === 'HEAD'
    ? void response.writeHead(405).end()
    : give({'content-type': OCI_MANIFEST, 'docker-content-digest': digest})(request, response);

describe('a manifest', () => {
  const complete = {'content-type': OCI_MANIFEST, 'docker-content-digest': digest};

  it('is asked for with every type that we know', async () => {
    await againstRegistry(give(complete), async (repository, server) => {
      expect(await repository.head(tag, call)).toEqual({
        mediaType: OCI_MANIFEST,
        digest,
        size: manifest.length,
      });
      expect(server.requests).toMatchObject([{method: 'HEAD', headers: {accept: MANIFEST_ACCEPT}}]);
    });
  });

  it('is read where HEAD does not tell its digest', async () => {
    await againstRegistry(give({'content-type': OCI_MANIFEST}), async (repository, server) => {
      expect(await repository.head(tag, call)).toMatchObject({digest});
      expect(server.requests.map(({method}) => method)).toEqual(['HEAD', 'GET']);
    });
  });

  it('is read where HEAD is not known', async () => {
    await againstRegistry(withoutHead, async (repository) => {
      expect(await repository.head(tag, call)).toMatchObject({digest});
    });
  });

  it('must match the requested digest, and that of the response', async () => {
    const other = digestOf('other');
    await againstRegistry(
      give({...complete, 'docker-content-digest': other}),
      async (repository) => {
        const mismatch = {code: 'MANIFEST_DIGEST_MISMATCH', side: 'source'};
        await expect(repository.getManifest(tag, call)).rejects.toMatchObject(mismatch);
        await expect(repository.getManifest(other, call)).rejects.toMatchObject(mismatch);
        await expect(repository.head(digest, call)).rejects.toMatchObject(mismatch);
        expect((await repository.getManifest(digest, call))?.bytes).toEqual(manifest);
      },
    );
  });

  it('in schema 1 has the digest of its payload, without the signatures', async () => {
    const signed = await readFile(fixture('schema1/manifest.json'));
    const payload = 'sha256:a4b5ffc5a83c066386b9efd1a39a8f75e75eb105d42711eaf4d6687e703bc571';
    const headers = {'content-type': DOCKER_SCHEMA1_SIGNED, 'docker-content-digest': payload};
    await againstRegistry(give(headers, signed), async (repository) => {
      expect(await repository.getManifest(tag, call)).toMatchObject({
        descriptor: {digest: payload},
        view: {kind: 'schema1'},
      });
    });
    const other = {...headers, 'docker-content-digest': digestOf('other')};
    await againstRegistry(give(other, signed), async (repository) => {
      const mismatch = {code: 'MANIFEST_DIGEST_MISMATCH'};
      await expect(repository.getManifest(tag, call)).rejects.toMatchObject(mismatch);
    });
  });

  it.each([
    ['gzip', gzipSync(manifest)],
    ['x-gzip', gzipSync(manifest)],
    ['deflate', deflateSync(manifest)],
    ['br', brotliCompressSync(manifest)],
    ['zstd', zstdCompressSync(manifest)],
    ['gzip, identity, br', brotliCompressSync(gzipSync(manifest))],
    ['gzip', manifest],
    ['unknown', manifest],
  ])('is decoded if it is sent as %s, and used unchanged otherwise', async (name, body) => {
    const headers = {...complete, 'content-encoding': name};
    await againstRegistry(give(headers, body), async (repository) => {
      expect((await repository.getManifest(tag, call))?.bytes).toEqual(manifest);
      const size = manifest.length;
      expect(await repository.head(tag, call)).toEqual({mediaType: OCI_MANIFEST, digest, size});
    });
  });

  it('is not decoded beyond 4 MiB', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    const headers = {...complete, 'content-encoding': 'gzip'};
    await againstRegistry(give(headers, bomb), async (repository) => {
      await expect(repository.getManifest(tag, call)).rejects.toMatchObject({
        code: 'MANIFEST_TOO_LARGE',
      });
    });
  });

  it.each([400, 403, 405, 500, 501])('is read where HEAD is answered %i', async (status) => {
    const answer: Handler = (request, response) =>
      request.method === 'HEAD'
        ? void response.writeHead(status).end()
        : give(complete)(request, response);
    await againstRegistry(answer, async (repository, server, _registry, notices) => {
      expect(await repository.head(tag, call)).toMatchObject({digest});
      const asked = server.requests.length;
      expect(await repository.head(digest, call)).toMatchObject({digest});
      expect(server.requests.slice(asked).map(({method}) => method)).toEqual(['GET']);
      expect(notices).toEqual([expect.stringContaining('HEAD requests for manifests')]);
    });
  });

  it.each([
    ['a page', 'text/html', 200],
    ['a health check', 'text/plain', 200],
    ['a page', 'text/html', 404],
  ])('is read where %s answers HEAD, of %s with %i', async (_what, type, status) => {
    for (const [there, status2] of [
      [true, 200],
      [false, 404],
    ] as const) {
      const answer: Handler = (request, response) => {
        if (request.method === 'HEAD')
          response.writeHead(status, {'content-type': type, 'content-length': '5'}).end();
        else if (there) void give(complete)(request, response);
        else response.writeHead(status2).end('{}');
      };
      await againstRegistry(answer, async (repository) => {
        expect((await repository.head(digest, call)) !== undefined).toBe(there);
      });
    }
  });

  it('that HEAD and GET are refused is an error with the message of the registry', async () => {
    await againstRegistry(
      ({method}, response) =>
        void response.writeHead(403).end(method === 'HEAD' ? undefined : 'no pull for robots'),
      async (repository) => {
        await expect(repository.head(tag, call)).rejects.toThrow('no pull for robots');
      },
    );
  });

  it('is not read beyond 4 MiB', async () => {
    const body = Buffer.alloc(4 * 1024 * 1024 + 1, ' ');
    await againstRegistry(give(complete, body), async (repository) => {
      await expect(repository.getManifest(tag, call)).rejects.toMatchObject({
        code: 'MANIFEST_TOO_LARGE',
      });
    });
  });
});

describe('a blob', () => {
  const bytes = Buffer.from('0123456789');
  const blob = {mediaType: 'a/b', digest: digestOf(bytes), size: 10};

  it('is asked for again where HEAD fails for a moment', async () => {
    let requests = 0;
    await againstRegistry(
      (_request, response) => void response.writeHead(++requests < 3 ? 500 : 200).end(),
      async (repository) => expect(await repository.hasBlob(blob, call)).toBe(true),
    );
  });

  const found = {'docker-content-digest': blob.digest};
  const oneByte = {'content-range': 'bytes 0-0/10', 'content-length': '1'};
  const refusals: readonly (readonly [string, number, Record<string, string>])[] = [
    ['400', 400, {}],
    ['403', 403, {}],
    ['405', 405, {}],
    ['500', 500, {}],
    ['a page', 200, {'content-type': 'text/html', 'content-length': '5'}],
    ['a page that is missing', 404, {'content-type': 'text/html'}],
    ['a health check', 200, {'content-type': 'text/plain', 'content-length': '5'}],
  ];

  it.each(refusals)('is requested by GET if HEAD gets %s', async (_what, status, headers) => {
    for (const isThere of [true, false]) {
      await againstRegistry(
        ({method}, response) => {
          if (method === 'HEAD') response.writeHead(status, headers).end();
          else if (isThere) response.writeHead(206, oneByte).end('0');
          else response.writeHead(404).end('{"errors":[{"code":"BLOB_UNKNOWN"}]}');
        },
        async (repository) => expect(await repository.hasBlob(blob, call)).toBe(isThere),
      );
    }
  });

  it('is there where HEAD names its digest, or a size that is its own', async () => {
    const other = {...found, 'content-length': '5', 'content-type': 'text/html'};
    for (const headers of [other, {'content-length': '10'}, {}]) {
      await againstRegistry(
        (_request, response) => void response.writeHead(200, headers).end(),
        async (repository, server) => {
          expect(await repository.hasBlob(blob, call)).toBe(true);
          expect(server.requests).toHaveLength(1);
        },
      );
    }
  });

  it('that a page answers for may be asked for again, and the page is named', async () => {
    await againstRegistry(
      (_request, response) => {
        response.writeHead(200, {'content-type': 'text/html'}).end('<title>Wait</title>');
      },
      async (repository) => {
        await expect(repository.openBlob(blob, {offset: 0}, call)).rejects.toMatchObject({
          code: 'NOT_A_REGISTRY',
          retry: true,
          message: expect.stringContaining('Wait') as string,
        });
      },
    );
  });

  it('begins at its start where the storage knows no ranges', async () => {
    await againstRegistry(
      (_request, response) => void response.writeHead(200).end(bytes),
      async (repository) => {
        const {start, chunks} = await repository.openBlob(blob, {offset: 4}, call);
        expect(start).toBe(0);
        expect(await collect(chunks)).toEqual(bytes);
      },
    );
  });

  it('may be sent in a shorter part than requested, not in a longer one', async () => {
    await againstRegistry(
      (_request, response) =>
        void response.writeHead(206, {'content-range': 'bytes 4-6/10'}).end('456'),
      async (repository) => {
        const {start, end, chunks} = await repository.openBlob(blob, {offset: 4}, call);
        expect([start, end]).toEqual([4, 7]);
        expect((await collect(chunks)).toString()).toBe('456');
        // Not in answer to a plain request either.
        const opening = repository.openBlob(blob, {offset: 4, end: 6}, call);
        await expect(opening).rejects.toMatchObject({code: 'RESPONSE_INVALID'});
      },
    );
  });

  it.each([
    [400, undefined],
    [403, undefined],
    [416, undefined],
    [206, undefined],
    [206, 'bytes 0-5/10'],
    [206, 'bytes 4-4000/*'],
  ])('is read completely from a source that answers ranges with %i %s', async (status, range) => {
    const rangeHeader = range === undefined ? {} : {'content-range': range};
    await using server = await startHttpServer(({headers}, response) => {
      if (headers['range'] === undefined) response.writeHead(200).end(bytes);
      else response.writeHead(status, rangeHeader).end('012345');
    });
    await using http = new HttpClient();
    const notices: RegistryNotice[] = [];
    const registry = new Registry({
      host: server.host,
      side: 'source',
      http,
      plainHttp: true,
      notice: (given) => notices.push(given),
    });
    for (const path of ['a/b', 'c']) {
      const repository = registry.repository(path as RepositoryPath);
      const {start, end, chunks} = await repository.openBlob(blob, {offset: 4}, call);
      expect([start, end, await collect(chunks)]).toEqual([0, 10, bytes]);
    }
    expect(server.requests.map(({headers}) => headers['range'])).toEqual([
      'bytes=4-9',
      undefined,
      undefined,
    ]);
    expect(notices.map(({code}) => code)).toEqual(['FEATURE_NOT_USED']);
    expect(notices[0]?.message).toContain(`answered ${status}`);
  });

  it('is asked for by range again where the link to a storage had ended', async () => {
    let links = 0;
    await using storage = await startHttpServer(({target}, response) => {
      if (target === '/1') response.writeHead(403).end();
      else response.writeHead(206, {'content-range': 'bytes 4-9/10'}).end('456789');
    });
    await againstRegistry(
      (_request, response) =>
        void response.writeHead(307, {location: `${storage.url}/${++links}`}).end(),
      async (repository) => {
        const {start, chunks} = await repository.openBlob(blob, {offset: 4}, call);
        expect([start, (await collect(chunks)).toString()]).toEqual([4, '456789']);
      },
    );
  });

  it('keeps the bytes that a storage says to be encoded', async () => {
    await againstRegistry(
      (_request, response) => void response.writeHead(200, {'content-encoding': 'gzip'}).end(bytes),
      async (repository) => {
        const {chunks} = await repository.openBlob(blob, {offset: 0}, call);
        expect(await collect(chunks)).toEqual(bytes);
      },
    );
  });

  it('is decoded where a proxy compressed it, with and without a length', async () => {
    const encoded = gzipSync(bytes);
    for (const length of [{'content-length': encoded.byteLength}, {}]) {
      await againstRegistry(
        (_request, response) =>
          void response.writeHead(200, {'content-encoding': 'gzip', ...length}).end(encoded),
        async (repository) => {
          const {chunks} = await repository.openBlob(blob, {offset: 0}, call);
          expect(await collect(chunks)).toEqual(bytes);
        },
      );
    }
  });

  it('is refused if the decoded content differs', async () => {
    await againstRegistry(
      (_request, response) =>
        void response.writeHead(200, {'content-encoding': 'gzip'}).end(gzipSync('other')),
      async (repository) => {
        const opening = repository.openBlob(blob, {offset: 0}, call);
        await expect(opening).rejects.toMatchObject({code: 'BLOB_SIZE_MISMATCH'});
      },
    );
  });

  it.each([
    [206, 'bytes 3-9/10', 'RESPONSE_INVALID'],
    [206, undefined, 'RESPONSE_INVALID'],
    [206, 'bytes 4-9/11', 'BLOB_SIZE_MISMATCH'],
  ])('is refused in the piece %i %s', async (status, range, code) => {
    await againstRegistry(
      (_request, response) => {
        response.writeHead(status, range === undefined ? {} : {'content-range': range}).end('x');
      },
      async (repository, server) => {
        const opening = repository.openBlob(blob, {offset: 4}, call);
        await expect(opening).rejects.toMatchObject({code, status});
        expect(server.requests[0]?.headers['range']).toBe('bytes=4-9');
      },
    );
  });
});

describe('a feature that fails and is replaced', () => {
  it('is reported once per host, also if it is source and destination', async () => {
    await using server = await startHttpServer(withoutHead);
    await using http = new HttpClient();
    const notices: RegistryNotice[] = [];
    const noticed = new Set<string>();
    for (const side of ['source', 'destination'] as const) {
      const notice = (given: RegistryNotice) => notices.push(given);
      const registry = new Registry({
        host: server.host,
        side,
        http,
        plainHttp: true,
        notice,
        noticed,
      });
      for (const path of ['a/b', 'c'])
        await registry.repository(path as RepositoryPath).head(tag, call);
    }
    const message = `${server.host}: not using HEAD requests for manifests: HEAD ${server.url}/v2/a/b/manifests/v1 answered 405; manifests are read instead`;
    expect(notices).toEqual([{code: 'FEATURE_NOT_USED', message}]);
  });
});
