import {describe, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {digestOf} from '../../src/model/digest.ts';
import {parseManifest} from '../../src/model/manifest.ts';
import {OCI_MANIFEST} from '../../src/model/media-type.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import {Registry} from '../../src/registry/registry.ts';
import {type Handler, sendError, startHttpServer} from '../support/http-server.ts';
import {NEVER} from '../support/streams.ts';

const call = {signal: NEVER};
const tag = 'v1' as Tag;
const descriptor = {mediaType: 'a/b', digest: digestOf('{}'), size: 2};
const bytes = Buffer.from(
  JSON.stringify({schemaVersion: 2, mediaType: OCI_MANIFEST, config: descriptor, layers: []}),
);
const manifest = parseManifest(bytes, OCI_MANIFEST, undefined, 'local');
const {digest} = manifest.descriptor;
const DIGEST = {'docker-content-digest': digest};
const OTHER = {'docker-content-digest': digestOf('other')};
const PAGE = '<html><title>Sign in</title></html>';
const HTML = {'content-type': 'text/html'};

async function start(handler: Handler) {
  const server = await startHttpServer(handler);
  const retry = {attempts: 2, attemptsAt500: 2, baseMs: 0, capMs: 0, budgetMs: 1000};
  const http = new HttpClient({retry});
  const registry = new Registry({host: server.host, side: 'destination', http, plainHttp: true});
  return {
    repository: registry.repository('a' as RepositoryPath),
    /** `METHOD reference`, in the order of arrival. */
    asked: () =>
      server.requests.map(({method, url}) => `${method} ${url.pathname.split('/').at(-1)}`),
    async [Symbol.asyncDispose]() {
      await http[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Answers the writes so, and reads as of a registry that has the manifest or has not. */
function registryThat(write: Handler, has: (reference: string) => boolean): Handler {
  return (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return write(request, response);
    if (!has(request.url.pathname.split('/').at(-1) ?? ''))
      return sendError(response, 404, 'MANIFEST_UNKNOWN');
    response.writeHead(200, {'content-type': OCI_MANIFEST, ...DIGEST}).end(bytes);
  };
}

const answer =
  (status: number, headers: Record<string, string> = {}, body = ''): Handler =>
  (_request, response) =>
    void response.writeHead(status, headers).end(body);

describe('a manifest that is put', () => {
  it.each([
    ['its digest', digest],
    ['a tag', tag],
  ])('under %s is done with 201 and its digest', async (_what, reference) => {
    await using rig = await start(registryThat(answer(201, DIGEST), () => false));
    await rig.repository.putManifest(reference, manifest, call);
    expect(rig.asked()).toEqual([`PUT ${reference}`]);
  });

  it('is done where the registry names it by another algorithm', async () => {
    const sha512 = {'docker-content-digest': digestOf(bytes, 'sha512')};
    await using rig = await start(registryThat(answer(201, sha512), () => false));
    await rig.repository.putManifest(digest, manifest, call);
    expect(rig.asked()).toEqual([`PUT ${digest}`]);
  });

  it.each([
    ['200', answer(200, {}, 'alive')],
    ['202', answer(202)],
    ['202 with its digest', answer(202, DIGEST)],
    ['201 without a digest', answer(201)],
    ['201 with another digest', answer(201, OTHER)],
  ])('is asked for by tag and by digest after %s', async (_what, write) => {
    await using rig = await start(registryThat(write, () => true));
    await rig.repository.putManifest(tag, manifest, call);
    expect(rig.asked()).toEqual([`PUT ${tag}`, `HEAD ${tag}`, `HEAD ${digest}`]);
  });

  it.each([
    ['under its tag', (reference: string) => reference === digest],
    ['under its digest', (reference: string) => reference === tag],
  ])('is not complete if it is missing %s', async (_what, has) => {
    await using rig = await start(registryThat(answer(202), has));
    const putting = rig.repository.putManifest(tag, manifest, call);
    await expect(putting).rejects.toMatchObject({code: 'CHANGE_NOT_SEEN', retry: true});
  });

  it('is not done where the registry has another one in its place', async () => {
    await using rig = await start(({method}, response) => {
      response.writeHead(method === 'PUT' ? 201 : 200, OTHER).end();
    });
    const putting = rig.repository.putManifest(tag, manifest, call);
    await expect(putting).rejects.toMatchObject({code: 'MANIFEST_DIGEST_MISMATCH'});
  });

  it('is compared byte for byte where the registry names no digest', async () => {
    let kept: Buffer = Buffer.from(PAGE);
    await using rig = await start((request, response) => {
      response.writeHead(200, HTML).end(request.method === 'GET' ? kept : '');
    });
    const putting = rig.repository.putManifest(digest, manifest, call);
    await expect(putting).rejects.toMatchObject({code: 'CHANGE_NOT_SEEN'});
    kept = bytes;
    await rig.repository.putManifest(digest, manifest, call);
  });

  it.each([
    [400, 'TAG_INVALID'],
    [403, 'DENIED'],
    [409, 'TAG_IMMUTABLE'],
    [500, 'UNKNOWN'],
  ])(
    'is done where its tag is immutable (%i %s) and the answer to the first attempt was lost',
    async (status, code) => {
      let puts = 0;
      await using rig = await start(
        registryThat(
          (_request, response) => {
            puts += 1;
            if (puts === 1) response.destroy();
            else sendError(response, status, code);
          },
          () => puts > 0,
        ),
      );
      await rig.repository.putManifest(tag, manifest, call);
      expect(rig.asked().slice(-2)).toEqual([`HEAD ${tag}`, `HEAD ${digest}`]);
    },
  );

  it('is refused immediately, without a query, if no response was lost', async () => {
    await using rig = await start(({method}, response) => {
      if (method === 'PUT') sendError(response, 400, 'TAG_INVALID');
      else response.writeHead(200, DIGEST).end();
    });
    const putting = rig.repository.putManifest(tag, manifest, call);
    await expect(putting).rejects.toMatchObject({code: 'REGISTRY_REFUSED', status: 400});
    expect(rig.asked()).toEqual([`PUT ${tag}`]);
  });

  it.each([
    ['is another image', 200, OTHER],
    ['may not be read', 403, {}],
  ])('is refused where its tag %s', async (_what, status, headers) => {
    let puts = 0;
    await using rig = await start(({method}, response) => {
      if (method !== 'PUT') response.writeHead(status, headers).end();
      else if (puts++ === 0) response.destroy();
      else sendError(response, 409, 'DENIED');
    });
    const putting = rig.repository.putManifest(tag, manifest, call);
    await expect(putting).rejects.toMatchObject({status: 409});
  });
});

describe('a tag that is deleted', () => {
  it.each([
    ['202', answer(202)],
    ['404', (_request, response) => sendError(response, 404, 'MANIFEST_UNKNOWN')],
  ] satisfies [string, Handler][])('is deleted with %s', async (_what, write) => {
    await using rig = await start(registryThat(write, () => true));
    await rig.repository.deleteTag(tag, call);
    expect(rig.asked()).toEqual([`DELETE ${tag}`]);
  });

  const doubtful = [
    ['200', answer(200), 'CHANGE_NOT_SEEN'],
    ['204', answer(204), 'CHANGE_NOT_SEEN'],
    ['a page', answer(202, HTML, PAGE), 'NOT_A_REGISTRY'],
    ['a redirect to a page', answer(302, {location: '/login'}), 'NOT_A_REGISTRY'],
  ] satisfies [string, Handler, string][];

  it.each(doubtful)('is asked for after %s', async (_what, write) => {
    await using rig = await start(registryThat(write, () => false));
    await rig.repository.deleteTag(tag, call);
    expect(rig.asked()).toEqual([`DELETE ${tag}`, `HEAD ${tag}`]);
  });

  it.each(doubtful)('is not deleted after %s if it still exists', async (_what, write, code) => {
    await using rig = await start(registryThat(write, () => true));
    await expect(rig.repository.deleteTag(tag, call)).rejects.toMatchObject({code});
  });

  it('is not deleted with 404 and a page', async () => {
    await using rig = await start(registryThat(answer(404, HTML, PAGE), () => true));
    const deleting = rig.repository.deleteTag(tag, call);
    await expect(deleting).rejects.toMatchObject({code: 'NOT_A_REGISTRY'});
  });
});
