import type {ServerResponse} from 'node:http';
import {describe, expect, it} from 'vitest';
import {digestOf} from '../../src/model/digest.ts';
import {TransshipError} from '../../src/model/error.ts';
import {OCI_INDEX, OCI_MANIFEST} from '../../src/model/media-type.ts';
import {type Handler, sendError, sendJson, startHttpServer} from '../support/http-server.ts';
import {againstRegistry, HASTY} from '../support/registry-rig.ts';
import {NEVER} from '../support/streams.ts';

const call = {signal: NEVER};
const config = {mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf('{}'), size: 2};
const subject = JSON.stringify({schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: []});
const digest = digestOf(subject);

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
    ['another shape', {tags: 5}, 'not a list of tags'],
    ['a wrong item', {tags: ['a', 5]}, 'not a list of tags'],
    ['deep nesting', {tags: nested(200)}, 'nested deeper than 100 levels'],
  ])('are not read from %s', async (_what, body, message) => {
    await againstRegistry(
      (_request, response) => sendJson(response, 200, body),
      async (repository) => {
        await expect(repository.listTags(call)).rejects.toThrow(message);
      },
    );
  });

  it.each([
    [404, 'text/html'],
    [200, 'text/html; charset=utf-8'],
    [200, 'application/octet-stream'],
  ])('are not requested if a web page answers, with %i and %s', async (status, type) => {
    await againstRegistry(
      (_request, response) =>
        void response.writeHead(status, {'content-type': type}).end('<html><title>Hi</title>'),
      async (repository) => {
        await expect(repository.listTags(call)).rejects.toMatchObject({
          code: 'NOT_A_REGISTRY',
          message: expect.stringContaining('Hi') as string,
        });
      },
    );
  });
});

/** As many names as asked for, from `last` on, of names in the order of the alphabet. */
function pageOf(names: readonly string[], {searchParams}: URL, most = Infinity): readonly string[] {
  const last = searchParams.get('last') ?? '';
  const count = Math.min(Number(searchParams.get('n')), most);
  return names.filter((name) => name > last).slice(0, count);
}

const names = (count: number) =>
  Array.from({length: count}, (_, n) => `v${String(n).padStart(5, '0')}`);

describe('a registry that does not name the next page', () => {
  it.each([
    ['gives as many tags as asked for', 2510, Infinity, 3],
    ['gives fewer, a round number', 230, 100, 3],
    ['gives fewer, a power of two', 300, 128, 3],
    ['has as many as asked for, and no more', 1000, Infinity, 2],
    ['has fewer', 70, Infinity, 1],
    ['has none', 0, Infinity, 1],
  ])('and %s: all are listed', async (_what, count, most, requests) => {
    await againstRegistry(
      ({url}, response) => sendJson(response, 200, {tags: pageOf(names(count), url, most)}),
      async (repository, server) => {
        expect(await repository.listTags(call)).toEqual(names(count));
        expect(server.requests).toHaveLength(requests);
      },
    );
  });

  it('and knows no "n" and no "last" is asked twice at most', async () => {
    for (const count of [1000, 1200, 1201]) {
      await againstRegistry(
        (_request, response) => sendJson(response, 200, {tags: names(count)}),
        async (repository, server) => {
          expect(await repository.listTags(call)).toEqual(names(count));
          expect(server.requests.length).toBeLessThanOrEqual(2);
        },
      );
    }
  });

  it.each([400, 404])('and answers "last" with %i has no more', async (status) => {
    await againstRegistry(
      ({url}, response) => {
        if (url.searchParams.has('last')) sendError(response, status, 'NAME_UNKNOWN');
        else sendJson(response, 200, {tags: names(1000)});
      },
      async (repository) => expect(await repository.listTags(call)).toHaveLength(1000),
    );
  });

  it('is reported once, if the run continued', async () => {
    await againstRegistry(
      ({url}, response) =>
        sendJson(response, 200, {
          tags: pageOf(names(3000), url),
          repositories: pageOf(names(3000), url),
        }),
      async (repository, _server, registry, notices) => {
        await repository.listTags(call);
        expect(await registry.catalog(call)).toHaveLength(3000);
        expect(notices).toEqual([expect.stringContaining('paginated lists')]);
      },
    );
  });
});

describe('a link to the next page', () => {
  const all = names(250);

  it.each([
    ['without brackets', (path: string) => `${path}; rel="next"`],
    ['without a relation', (path: string) => `<${path}>`],
    ['with an apostrophe for a quote', (path: string) => `<${path}>; rel='next'`],
    ['after another link', (path: string) => `</docs>; rel="help", <${path}>; rel="next"`],
  ])('%s is followed', async (_what, link) => {
    await againstRegistry(
      ({url}, response) => {
        const from = Number(url.searchParams.get('from') ?? 0);
        const next = {link: link(`${url.pathname}?from=${from + 70}`)};
        const tags = all.slice(from, from + 70);
        sendJson(response, 200, {tags}, from + 70 < all.length ? next : {});
      },
      async (repository) => expect(await repository.listTags(call)).toEqual(all),
    );
  });

  it('that is not on a page of a round number is not there: it was the last', async () => {
    await againstRegistry(
      ({url}, response) => {
        const from = Number(url.searchParams.get('from') ?? 0);
        const link = `<${url.pathname}?from=${from + 50}>; rel="next"`;
        const tags = all.slice(from, from + 50);
        sendJson(response, 200, {tags}, from + 50 < all.length ? {link} : {});
      },
      async (repository, server) => {
        expect(await repository.listTags(call)).toEqual(all);
        expect(server.requests).toHaveLength(5);
      },
    );
  });

  const wrong: readonly (readonly [string, string, string])[] = [
    ['to where it stands', '</v2/a/b/tags/list?n=1000>; rel="next"', 'loop'],
    ['nowhere', '<http://[>; rel="next"', 'not a URL'],
  ];

  it.each(wrong)('%s is not followed where "last" leads on', async (_what, link) => {
    await againstRegistry(
      ({url}, response) => {
        const tags = pageOf(all, url, 70);
        sendJson(response, 200, {tags}, tags.length === 70 ? {link} : {});
      },
      async (repository) => expect(await repository.listTags(call)).toEqual(all),
    );
  });

  it.each(wrong)('%s is an error where "last" does not', async (_what, link, message) => {
    for (const tags of [all, []]) {
      await againstRegistry(
        ({url}, response) => {
          if (url.searchParams.has('last') && tags.length === 0)
            sendError(response, 400, 'PAGINATION_NUMBER_INVALID');
          else sendJson(response, 200, {tags}, {link});
        },
        async (repository) => {
          await expect(repository.listTags(call)).rejects.toMatchObject({
            code: 'RESPONSE_INVALID',
            message: expect.stringContaining(message) as string,
          });
        },
      );
    }
  });

  it('that is not there is an error', async () => {
    await againstRegistry(
      ({url}, response) => {
        if (url.searchParams.has('page')) sendError(response, 404, 'NAME_UNKNOWN');
        else sendJson(response, 200, {tags: ['a']}, {link: `<${url.pathname}?page=2>; rel="next"`});
      },
      async (repository) => {
        await expect(repository.listTags(call)).rejects.toThrow('does not exist');
      },
    );
  });
});

describe('a list without end', () => {
  it.each([
    ['of new names', 5000, 'read 205000 entries on 41 pages'],
    ['of pages without a name', 0, 'read 0 entries on 1000 pages'],
  ])('%s is an error', async (_what, count, message) => {
    let next = 0;
    await againstRegistry(
      ({url}, response) => {
        const tags = Array.from({length: count}, () => `t${next++}`);
        sendJson(response, 200, {tags}, {link: `<${url.pathname}?p=${next++}>; rel="next"`});
      },
      async (repository) => {
        await expect(repository.listTags(call)).rejects.toMatchObject({
          code: 'RESPONSE_INVALID',
          message: expect.stringContaining(message) as string,
        });
      },
    );
  });

  it('of referrers is an error, whatever else is known of the API', async () => {
    let next = 0;
    await againstRegistry(
      ({url}, response) => {
        const page = Array.from({length: 500}, () => referrer(String(next++)));
        const headers = {
          'content-type': OCI_INDEX,
          link: `<${url.pathname}?p=${next}>; rel="next"`,
        };
        sendJson(response, 200, index(...page), headers);
      },
      async (repository) => {
        await expect(repository.listReferrers(digest, call)).rejects.toThrow('has no end');
      },
    );
  });
});

const nested = (depth: number): unknown => (depth === 0 ? [] : [nested(depth - 1)]);
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
  ])('are not to be had where the answer is %i %s', async (status, type, body) => {
    await againstRegistry(
      (_request, response) => void response.writeHead(status, {'content-type': type}).end(body),
      async (repository) => expect(await repository.listReferrers(digest, call)).toBeUndefined(),
    );
  });
});

function sendPage(response: ServerResponse, status: number): void {
  response.writeHead(status, {'content-type': 'text/html'}).end('<html>Sign in</html>');
}

const isManifest = ({pathname}: URL) => pathname.includes('/manifests/');

function sendSubject(response: ServerResponse): void {
  response.writeHead(200, {'content-type': OCI_MANIFEST}).end(subject);
}

const refused = (status: number) => (response: ServerResponse) =>
  sendError(response, status, 'UNKNOWN', {'retry-after': '0'});

describe('a referrers API that is none', () => {
  const answers: readonly (readonly [string, (response: ServerResponse) => void])[] = [
    ['a page', (response) => sendPage(response, 200)],
    ['a redirect to a page', (response) => void response.writeHead(303, {location: '/page'}).end()],
    ['a redirect nowhere', (response) => void response.writeHead(303, {location: 'ftp://x'}).end()],
    ['a broken answer', (response) => void response.destroy()],
    ['401', refused(401)],
    ['403', refused(403)],
    ['429', refused(429)],
    ['500', refused(500)],
    ['an object without manifests', (response) => sendJson(response, 200, {})],
    ['manifests: null', (response) => sendJson(response, 200, {...index(), manifests: null})],
    ['other manifests', (response) => sendJson(response, 200, {manifests: [{}]})],
    ['no JSON', (response) => void response.end('OK')],
  ];

  it.each(answers)('answers with %s: told once, and not asked for ever', async (_what, answer) => {
    await againstRegistry(
      ({url}, response) => {
        if (url.pathname === '/page') sendPage(response, 200);
        else if (isManifest(url)) sendSubject(response);
        else answer(response);
      },
      async (repository, server, _registry, notices) => {
        for (let n = 0; n < 3; n++)
          expect(await repository.listReferrers(digest, call)).toBeUndefined();
        const asked = server.requests.length;
        expect(await repository.listReferrers(digest, call)).toBeUndefined();
        expect(server.requests).toHaveLength(asked);
        expect(notices).toEqual([expect.stringContaining('the referrers API')]);
      },
      {...HASTY, budgetMs: 50},
    );
  });

  it.each(answers)(
    'is an error with %s where the manifest cannot be read',
    async (_what, answer) => {
      await againstRegistry(
        ({url}, response) => {
          if (url.pathname === '/page') sendPage(response, 200);
          else if (isManifest(url)) void response.writeHead(403).end();
          else answer(response);
        },
        async (repository) => {
          await expect(repository.listReferrers(digest, call)).rejects.toBeInstanceOf(
            TransshipError,
          );
        },
      );
    },
  );

  it('is an error where it has answered before: what it lists would be lost', async () => {
    let requests = 0;
    await againstRegistry(
      ({url}, response) => {
        if (isManifest(url)) sendSubject(response);
        else if (requests++ === 0) sendJson(response, 200, index(referrer('one')));
        else sendError(response, 500, 'UNKNOWN');
      },
      async (repository) => {
        expect(await repository.listReferrers(digest, call)).toHaveLength(1);
        await expect(repository.listReferrers(digest, call)).rejects.toThrow('500');
      },
    );
  });
});

describe('429 from a referrers API', () => {
  it('that has never answered otherwise is waited for no longer than it is worth', async () => {
    await using elsewhere = await startHttpServer((_request, response) =>
      sendError(response, 429, 'TOOMANYREQUESTS', {'retry-after': '600'}),
    );
    await againstRegistry(
      ({url}, response) => {
        if (isManifest(url)) sendSubject(response);
        else response.writeHead(303, {location: elsewhere.url}).end();
      },
      async (repository, _server, _registry, notices) => {
        expect(await repository.listReferrers(digest, call)).toBeUndefined();
        expect(notices).toEqual([expect.stringContaining('the referrers API')]);
      },
      {...HASTY, budgetMs: 3_600_000},
    );
    expect(elsewhere.requests).toHaveLength(1);
  });

  it('from a limit of the registry loses no referrers', async () => {
    let left = 40;
    await againstRegistry(
      ({url}, response) => {
        if (!isManifest(url) && left-- > 0) sendError(response, 429, 'TOOMANYREQUESTS');
        else if (isManifest(url)) sendSubject(response);
        else sendJson(response, 200, index(referrer('one')), {'content-type': OCI_INDEX});
        // Requests of all kinds are taken again once a manifest is.
        if (isManifest(url)) left = 0;
      },
      async (repository, _server, _registry, notices) => {
        expect(await repository.listReferrers(digest, call)).toEqual([referrer('one')]);
        expect(notices).toEqual([]);
      },
      {...HASTY, budgetMs: 20},
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

const limited: Handler = ({url}, response) => {
  const asked = url.searchParams.get('n');
  if (asked !== null && Number(asked) > 100)
    return sendError(response, 400, 'PAGINATION_NUMBER_INVALID');
  const last = url.searchParams.get('last') ?? '';
  const page = names(250)
    .filter((name) => name > last)
    .slice(0, 100);
  const link = {link: `<${url.pathname}?last=${page.at(-1)}&n=100>; rel="next"`};
  const isLast = page.at(-1) === names(250).at(-1);
  const key = url.pathname.endsWith('_catalog') ? 'repositories' : 'tags';
  sendJson(response, 200, {[key]: page}, isLast ? {} : link);
};

describe('a registry that refuses the number of names asked for', () => {
  it('is asked without one, for its catalog and for its tags', async () => {
    await againstRegistry(limited, async (repository, _server, registry) => {
      expect(await registry.catalog(call)).toEqual(names(250));
      expect(await repository.listTags(call)).toEqual(names(250));
    });
  });

  it('and refuses that, too, is reported with its message', async () => {
    await againstRegistry(
      (_request, response) => sendError(response, 400, 'PAGINATION_NUMBER_INVALID'),
      async (_repository, server, registry) => {
        await expect(registry.catalog(call)).rejects.toThrow('answered 400');
        expect(server.requests).toHaveLength(2);
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
