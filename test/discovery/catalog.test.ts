import {describe, expect, test} from 'vitest';
import {catalogLister} from '../../src/discovery/catalog.ts';
import {findSourceKind} from '../../src/discovery/source-kind.ts';
import {HttpClient} from '../../src/http/client.ts';
import {Registry} from '../../src/registry/registry.ts';
import {type Handler, sendError, sendJson} from '../support/http-server.ts';
import {againstRegistry, HASTY} from '../support/registry-rig.ts';
import {startQuay} from '../support/products.ts';
import {NEVER} from '../support/streams.ts';
import {startTokenRegistry} from '../support/token-registry.ts';
import {failure, listed} from './lister-rig.ts';

const call = {signal: NEVER};
const names = (count: number) =>
  Array.from({length: count}, (_, n) => `team/app-${String(n).padStart(5, '0')}`);

async function list(handler: Handler, prefix = ''): Promise<readonly string[]> {
  let found: readonly string[] = [];
  await againstRegistry(handler, async (_repository, _server, registry) => {
    ({names: found} = await listed(catalogLister(registry), prefix));
  });
  return found;
}

describe('a catalog', () => {
  test('that ignores "n" and sends no Link is read to its end', async () => {
    const pageOf = (last: string) => names(250).filter((name) => name > last);
    const found = await list(({url}, response) => {
      const repositories = pageOf(url.searchParams.get('last') ?? '').slice(0, 100);
      sendJson(response, 200, {repositories});
    });
    expect(found).toEqual(names(250));
  });

  test('whose pages repeat names lists each once', async () => {
    const found = await list(({url}, response) => {
      const isFirst = !url.searchParams.has('last');
      const repositories = isFirst ? ['a', 'b'] : ['b', 'a', 'c'];
      sendJson(response, 200, {repositories}, isFirst ? {link: '<?last=b>; rel="next"'} : {});
    });
    expect(found).toEqual(['a', 'b', 'c']);
  });

  test.each([
    ['leads back to a page that was read', () => '<?n=1000>; rel="next"', 'forms a loop'],
    ['never ends', (page: number) => `<?page=${page}>; rel="next"`, 'has no end'],
  ])('that %s is an error', async (_what, link, message) => {
    let page = 0;
    const listing = list((_request, response) => {
      page++;
      sendJson(response, 200, {repositories: []}, {link: link(page)});
    });
    const error = await failure(listing);
    expect(error).toMatchObject({code: 'RESPONSE_INVALID'});
    expect(error.message).toContain(message);
  });

  test('is cut to the prefix, part by part', async () => {
    const repositories = ['team', 'team/app', 'teams/app', 'other/team', 'team/a/b'];
    const found = await list(
      (_request, response) => sendJson(response, 200, {repositories}),
      'team',
    );
    expect(found).toEqual(['team', 'team/app', 'team/a/b']);
  });

  test('is asked for with the scope of the catalog', async () => {
    await using rig = await startTokenRegistry({
      answer: (_request, response) => sendJson(response, 200, {repositories: ['a']}),
    });
    await using http = new HttpClient({retry: HASTY});
    const {host} = rig.registry;
    const registry = new Registry({host, side: 'source', http, plainHttp: true});
    expect((await listed(catalogLister(registry), '')).names).toEqual(['a']);
    expect([...rig.given.values()]).toEqual([['registry:catalog:*']]);
  });

  test.each([401, 403, 404, 405])('that is refused with %i names the way out', async (status) => {
    const error = await failure(
      list((_request, response) => sendError(response, status, 'DENIED')),
    );
    expect(error).toMatchObject({code: 'REPOSITORIES_NOT_LISTED', side: 'source', status});
    expect(error.hint).toContain('--repositories FILE');
  });
});

/** Answers the base of the API with this challenge, or with none. */
const challenge =
  (value: string | undefined): Handler =>
  (_request, response) =>
    void response
      .writeHead(value === undefined ? 200 : 401, value ? {'www-authenticate': value} : {})
      .end();

describe('the kind of a source', () => {
  test.each([
    ['Bearer realm="https://gitlab.example/jwt/auth",service="container_registry"', 'gitlab'],
    ['Bearer realm="https://harbor.example/service/token",service="harbor-registry"', 'harbor'],
    ['Bearer realm="https://quay.example/v2/auth",service="quay.example"', 'quay'],
    ['Bearer realm="https://auth.example/token",service="registry"', 'catalog'],
    ['Basic realm="registry"', 'catalog'],
    ['Bearer realm="not a url",service="x"', 'catalog'],
    [undefined, 'catalog'],
  ])('that answers %s is %s', async (value, kind) => {
    await againstRegistry(challenge(value), async (_repository, server, registry) => {
      expect(await findSourceKind(registry, call)).toMatchObject({kind});
      expect(server.requests.map(({target, headers}) => [target, headers.authorization])).toEqual([
        ['/v2/', undefined],
      ]);
    });
  });

  test('of a GitLab has its address, also below a path', async () => {
    const value = 'Bearer realm="https://acme.example/git/jwt/auth",service="container_registry"';
    await againstRegistry(challenge(value), async (_repository, _server, registry) => {
      const found = await findSourceKind(registry, call);
      expect(found).toEqual({kind: 'gitlab', gitlab: 'https://acme.example/git'});
    });
  });

  test.each([
    ['docker.io', 'docker-hub'],
    ['ghcr.io', 'github'],
    ['quay.io', 'quay'],
  ])('%s is known by name, without a request', async (host, kind) => {
    await using http = new HttpClient({retry: HASTY});
    const registry = new Registry({host, side: 'source', http});
    expect(await findSourceKind(registry, {signal: AbortSignal.abort()})).toEqual({kind});
  });

  test('of the Quay that tests use is found', async () => {
    await using quay = await startQuay([]);
    await using http = new HttpClient({retry: HASTY});
    const registry = new Registry({host: quay.host, side: 'source', http, plainHttp: true});
    expect(await findSourceKind(registry, call)).toEqual({kind: 'quay'});
  });
});
