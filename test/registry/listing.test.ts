import {describe, expect, it} from 'vitest';
import {digestOf} from '../../src/model/digest.ts';
import {OCI_INDEX, OCI_MANIFEST} from '../../src/model/media-type.ts';
import {sendError, sendJson} from '../support/http-server.ts';
import {againstRegistry} from '../support/registry-rig.ts';
import {NEVER} from '../support/streams.ts';

const call = {signal: NEVER};
const digest = digestOf('subject');

describe('tags', () => {
  it('are listed over all pages, as they are', async () => {
    const pages: Record<string, [unknown, string?]> = {
      '/v2/a/b/tags/list?n=1000': [
        {tags: ['b', 'a', '']},
        '</v2/a/b/tags/list?n=1000&last=a>; rel="next"',
      ],
      '/v2/a/b/tags/list?n=1000&last=a': [
        {tags: null},
        '<http://inner:5000/v2/a/b/tags/list?last=x>; rel="next"',
      ],
      '/v2/a/b/tags/list?last=x': [{tags: ['z', 'a']}],
    };
    await againstRegistry(
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
    await againstRegistry(
      (_request, response) => sendError(response, 404, 'NAME_UNKNOWN'),
      async (repository) => expect(await repository.listTags(call)).toBeUndefined(),
    );
  });

  it.each([
    ['a circle', {tags: []}, {link: '</v2/a/b/tags/list?n=1000>; rel="next"'}, 'circle'],
    ['another shape', {tags: 5}, {}, 'not a list of tags'],
    ['a next page nowhere', {tags: []}, {link: '<http://[>; rel="next"'}, 'not a URL'],
  ])('are not read from %s', async (_what, body, headers, message) => {
    await againstRegistry(
      (_request, response) => sendJson(response, 200, body, headers),
      async (repository) => {
        await expect(repository.listTags(call)).rejects.toThrow(message);
      },
    );
  });

  it('are not looked for where there is no registry', async () => {
    await againstRegistry(
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

const index = (...manifests: object[]) => ({schemaVersion: 2, mediaType: OCI_INDEX, manifests});
const referrer = (text: string) => ({
  mediaType: OCI_MANIFEST,
  digest: digestOf(text),
  size: 5,
  artifactType: 'a/sbom',
});

describe('referrers', () => {
  it('are listed over all pages', async () => {
    await againstRegistry(
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
    await againstRegistry(
      (_request, response) => void response.writeHead(status, {'content-type': type}).end(body),
      async (repository) => expect(await repository.listReferrers(digest, call)).toBeUndefined(),
    );
  });
});

describe('a registry without referrers', () => {
  it('is not asked for ever', async () => {
    await againstRegistry(
      (_request, response) => void response.writeHead(404).end('404 page not found'),
      async (repository, server) => {
        for (let n = 0; n < 5; n++) await repository.listReferrers(digest, call);
        expect(server.requests).toHaveLength(3);
      },
    );
  });

  it('is asked again where a 404 is about the repository, or it has answered before', async () => {
    let requests = 0;
    await againstRegistry(
      (_request, response) => {
        requests++;
        if (requests <= 5) sendError(response, 404, 'NAME_UNKNOWN');
        else if (requests === 6) sendJson(response, 200, index(referrer('one')));
        else response.writeHead(404).end('404 page not found');
      },
      async (repository) => {
        for (let n = 0; n < 12; n++) await repository.listReferrers(digest, call);
        expect(requests).toBe(12);
      },
    );
  });
});

describe('a catalog', () => {
  it('that is not shown is an error', async () => {
    await againstRegistry(
      (_request, response) => sendError(response, 404, 'UNSUPPORTED'),
      async (_repository, _server, registry) => {
        const failing = registry.catalog(call);
        await expect(failing).rejects.toMatchObject({code: 'UNSUPPORTED_BY_REGISTRY'});
      },
    );
  });
});
