import {describe, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {digestOf} from '../../src/model/digest.ts';
import {
  DOCKER_SCHEMA1_SIGNED,
  MANIFEST_ACCEPT,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../src/model/media-type.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {Registry, type RegistryRepository} from '../../src/registry/registry.ts';
import {
  type Handler,
  type HttpServer,
  sendError,
  sendJson,
  startHttpServer,
} from '../support/http-server.ts';
import {collect, NEVER} from '../support/streams.ts';

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

/** Runs with a repository of a registry that answers so. */
async function against(
  handler: Handler,
  run: (repository: RegistryRepository, server: HttpServer, registry: Registry) => Promise<void>,
): Promise<void> {
  await using server = await startHttpServer(handler);
  const retry = {attempts: 4, attemptsAt500: 4, baseMs: 1, capMs: 1, budgetMs: 1000};
  await using http = new HttpClient({retry});
  const registry = new Registry({host: server.host, side: 'source', http, plainHttp: true});
  await run(registry.repository('a/b' as RepositoryPath), server, registry);
}

describe('tags', () => {
  it('are listed over all pages, as they are', async () => {
    const pages: Record<string, [unknown, string?]> = {
      '/v2/a/b/tags/list?n=1000': [
        {tags: ['b', 'a', '']},
        '</v2/a/b/tags/list?n=1000&last=a>; rel="next"',
      ],
      '/v2/a/b/tags/list?n=1000&last=a': [{tags: null}, '</v2/a/b/tags/list?last=x>; rel="next"'],
      '/v2/a/b/tags/list?last=x': [{tags: ['z', 'a']}],
    };
    await against(
      ({target}, response) => {
        const [body, link] = pages[target] ?? [undefined];
        sendJson(response, 200, body, link === undefined ? {} : {link});
      },
      async (repository, server) => {
        expect(await repository.listTags(call)).toEqual(['b', 'a', '', 'z']);
        expect(server.requests).toHaveLength(3);
      },
    );
  });

  it('of a repository that is not there are none at all', async () => {
    await against(
      (_request, response) => sendError(response, 404, 'NAME_UNKNOWN'),
      async (repository) => expect(await repository.listTags(call)).toBeUndefined(),
    );
  });

  it.each([
    ['a circle', {tags: []}, {link: '</v2/a/b/tags/list?n=1000>; rel="next"'}, 'circle'],
    ['another shape', {tags: 5}, {}, 'not a list of tags'],
    ['another host, private', {tags: []}, {link: '<ftp://other/>; rel="next"'}, 'leads to ftp:'],
  ])('are not read from %s', async (_what, body, headers, message) => {
    await against(
      (_request, response) => sendJson(response, 200, body, headers),
      async (repository) => {
        await expect(repository.listTags(call)).rejects.toThrow(message);
      },
    );
  });

  it('are not looked for where there is no registry', async () => {
    await against(
      (_request, response) =>
        void response.writeHead(404, {'content-type': 'text/html'}).end('<html><title>Hi</title>'),
      async (repository) => {
        await expect(repository.listTags(call)).rejects.toMatchObject({
          code: 'NOT_A_REGISTRY',
          message: expect.stringContaining('Hi') as string,
        });
      },
    );
  });
});

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
    await against(give(complete), async (repository, server) => {
      expect(await repository.head(tag, call)).toEqual({
        mediaType: OCI_MANIFEST,
        digest,
        size: manifest.length,
      });
      expect(server.requests).toMatchObject([{method: 'HEAD', headers: {accept: MANIFEST_ACCEPT}}]);
    });
  });

  it('is read where HEAD does not tell its digest', async () => {
    await against(give({'content-type': OCI_MANIFEST}), async (repository, server) => {
      expect(await repository.head(tag, call)).toMatchObject({digest});
      expect(server.requests.map(({method}) => method)).toEqual(['HEAD', 'GET']);
    });
  });

  it('is read where HEAD is not known', async () => {
    await against(withoutHead, async (repository) => {
      expect(await repository.head(tag, call)).toMatchObject({digest});
    });
  });

  it('must have the digest that it is named by, and the one it comes with', async () => {
    const other = digestOf('other');
    await against(give({...complete, 'docker-content-digest': other}), async (repository) => {
      const mismatch = {code: 'MANIFEST_DIGEST_MISMATCH', side: 'source'};
      await expect(repository.getManifest(tag, call)).rejects.toMatchObject(mismatch);
      await expect(repository.getManifest(other, call)).rejects.toMatchObject(mismatch);
      await expect(repository.head(digest, call)).rejects.toMatchObject(mismatch);
      expect((await repository.getManifest(digest, call))?.bytes).toEqual(manifest);
    });
  });

  it('in schema 1 keeps the digest of its payload', async () => {
    const signed = Buffer.from(JSON.stringify({schemaVersion: 1, signatures: []}));
    const payload = digestOf('payload');
    const headers = {'content-type': DOCKER_SCHEMA1_SIGNED, 'docker-content-digest': payload};
    await against(give(headers, signed), async (repository) => {
      expect(await repository.getManifest(tag, call)).toMatchObject({
        descriptor: {digest: payload},
        view: {kind: 'schema1'},
      });
    });
  });

  it('is not read beyond 4 MiB', async () => {
    const body = Buffer.alloc(4 * 1024 * 1024 + 1, ' ');
    await against(give(complete, body), async (repository) => {
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
    await against(
      (_request, response) => void response.writeHead(++requests < 3 ? 500 : 200).end(),
      async (repository) => expect(await repository.hasBlob(blob.digest, call)).toBe(true),
    );
  });

  it('begins at its start where the storage knows no ranges', async () => {
    await against(
      (_request, response) => void response.writeHead(200).end(bytes),
      async (repository) => {
        const {start, chunks} = await repository.openBlob(blob, {offset: 4}, call);
        expect(start).toBe(0);
        expect(await collect(chunks)).toEqual(bytes);
      },
    );
  });

  it.each([
    [206, 'bytes 3-9/10', 'RESPONSE_INVALID'],
    [206, 'bytes 4-8/10', 'RESPONSE_INVALID'],
    [206, undefined, 'RESPONSE_INVALID'],
    [206, 'bytes 4-9/11', 'BLOB_SIZE_MISMATCH'],
    [416, 'bytes */3', 'BLOB_SIZE_MISMATCH'],
  ])('is refused in the piece %i %s', async (status, range, code) => {
    await against(
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

const index = (...manifests: object[]) => ({schemaVersion: 2, mediaType: OCI_INDEX, manifests});
const referrer = (text: string) => ({
  mediaType: OCI_MANIFEST,
  digest: digestOf(text),
  size: 5,
  artifactType: 'a/sbom',
});

describe('referrers', () => {
  it('are listed over all pages', async () => {
    await against(
      ({url}, response) => {
        const last = url.searchParams.has('page');
        const link = `<${url.pathname}?page=2>; rel="next"`;
        const body = last ? index(referrer('two')) : index(referrer('one'));
        sendJson(response, 200, body, {'content-type': OCI_INDEX, ...(last ? {} : {link})});
      },
      async (repository, server) => {
        const found = await repository.listReferrers(digest, call);
        expect(found).toEqual([referrer('one'), referrer('two')]);
        expect(server.requests[0]?.url.pathname).toBe(`/v2/a/b/referrers/${digest}`);
      },
    );
  });

  it.each([
    [404, 'application/json', '{}'],
    [404, 'text/html', '<html>'],
    [405, 'application/json', '{}'],
    [200, 'text/html', '<html>'],
  ])('are not to be had where the answer is %i %s', async (status, type, body) => {
    await against(
      (_request, response) => void response.writeHead(status, {'content-type': type}).end(body),
      async (repository) => expect(await repository.listReferrers(digest, call)).toBeUndefined(),
    );
  });
});

describe('a catalog', () => {
  it('that is not shown is an error', async () => {
    await against(
      (_request, response) => sendError(response, 404, 'UNSUPPORTED'),
      async (_repository, _server, registry) => {
        const failing = registry.catalog(call);
        await expect(failing).rejects.toMatchObject({code: 'UNSUPPORTED_BY_REGISTRY'});
      },
    );
  });
});
