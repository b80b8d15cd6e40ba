import {describe, expect, it} from 'vitest';
import {HttpClient} from '../../src/http/client.ts';
import {LARGE_BODY} from '../../src/http/request.ts';
import {digestOf} from '../../src/model/digest.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {Registry} from '../../src/registry/registry.ts';
import {testAuthority} from '../support/certificates.ts';
import {type Handler, sendError, startHttpServer} from '../support/http-server.ts';
import {NEVER, streamOf} from '../support/streams.ts';
import type {RegistryNotice} from '../../src/registry/registry-options.ts';

const call = {signal: NEVER};
const bytes = Buffer.from('0123456789');
const blob = {mediaType: 'a/b', digest: digestOf(bytes), size: 10};
const UPLOADS = '/v2/a/blobs/uploads/';

const STORED = {'docker-content-digest': blob.digest};

/** A registry that opens an upload at `location`, with what else is said of it, and answers all else by `then`. */
async function startUploads(location: string, then: Handler, headers: Record<string, string> = {}) {
  const server = await startHttpServer((request, response) => {
    if (request.method === 'POST') response.writeHead(202, {location, ...headers}).end();
    else return then(request, response);
  });
  const http = new HttpClient();
  const notices: RegistryNotice[] = [];
  const registry = new Registry({
    host: server.host,
    side: 'destination',
    http,
    plainHttp: true,
    notice: (given) => notices.push(given),
  });
  return {
    server,
    notices,
    repository: registry.repository('a' as RepositoryPath),
    async [Symbol.asyncDispose]() {
      await http[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const answer =
  (status: number, headers: Record<string, string> = {}): Handler =>
  (_request, response) =>
    void response.writeHead(status, headers).end();

const piece = (start: number, end: number) => streamOf([bytes.subarray(start, end)]);

describe('an upload', () => {
  it('with an unreachable URL reports that it came from the registry', async () => {
    const gone = await startHttpServer(() => undefined);
    await gone[Symbol.asyncDispose]();
    await using rig = await startUploads(`${gone.url}${UPLOADS}1`, answer(201, STORED));
    const upload = await rig.repository.beginUpload(blob, call);
    await expect(upload.append(piece(0, 6), 6, call)).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      hint: expect.stringContaining(`returns URLs for uploads at ${gone.url}`),
    });
  });

  it('sends chunks with their place, each to where the last answer points', async () => {
    let sent = 0;
    await using rig = await startUploads(`${UPLOADS}1?_state=a%2Fb`, (request, response) => {
      if (request.method === 'PUT') return void response.writeHead(201, STORED).end();
      sent += request.body.length;
      const location = `${UPLOADS}1?_state=${sent}`;
      response.writeHead(202, {location, range: `0-${sent - 1}`}).end();
    });
    const upload = await rig.repository.beginUpload(blob, call);
    expect(await upload.append(piece(0, 6), 6, call)).toBe(6);
    expect(await upload.append(piece(6, 10), 4, call)).toBe(10);
    await upload.commit(blob, call);
    const [, first, second, last] = rig.server.requests;
    expect(first?.target).toBe(`${UPLOADS}1?_state=a%2Fb`);
    expect(first?.headers).toMatchObject({
      'content-range': '0-5',
      'content-length': '6',
      'content-type': 'application/octet-stream',
    });
    expect(second?.target).toBe(`${UPLOADS}1?_state=6`);
    expect(second?.headers['content-range']).toBe('6-9');
    expect(last?.target).toBe(`${UPLOADS}1?_state=10&digest=${encodeURIComponent(blob.digest)}`);
    expect(last?.headers['content-length']).toBe('0');
  });

  it('uses the connection that opened it, if it is large', async () => {
    const size = LARGE_BODY + 1;
    const large = {...blob, size};
    await using rig = await startUploads(`${UPLOADS}1`, ({method}, response) => {
      response.writeHead(method === 'PUT' ? 201 : 202, STORED).end();
    });
    const upload = await rig.repository.beginUpload(large, call);
    await upload.append(streamOf([Buffer.alloc(size)]), size, call);
    await upload.commit(large, call);
    expect(rig.server.requests.map(({method, body}) => [method, body.length])).toEqual([
      ['POST', 0],
      ['PATCH', size],
      ['PUT', 0],
    ]);
    const lengths = rig.server.requests.map(({headers}) => headers['content-length']);
    expect(lengths).toEqual(['0', String(size), '0']);
    expect(rig.server.connections()).toBe(1);
  });

  it('closes at a location without a query', async () => {
    await using rig = await startUploads('7', answer(201, STORED));
    await (await rig.repository.beginUpload(blob, call)).commit(blob, call);
    const digest = encodeURIComponent(blob.digest);
    expect(rig.server.requests.at(-1)?.target).toBe(`${UPLOADS}7?digest=${digest}`);
  });

  it('continues at another host if redirected there, without credentials', async () => {
    await using elsewhere = await startHttpServer((_request, response) => {
      response.writeHead(202).end();
    });
    await using rig = await startUploads(`${elsewhere.url}/upload`, answer(599));
    const upload = await rig.repository.beginUpload(blob, call);
    expect(await upload.append(piece(0, 10), 10, call)).toBe(10);
    expect(elsewhere.requests[0]?.headers).not.toHaveProperty('authorization');
  });

  it.each([
    [201, {}],
    [202, {range: '0-5'}],
    [202, {range: '0-3'}],
    [202, {range: 'bytes=0-3'}],
    [202, {range: '0-0'}],
    [204, {range: '0-5'}],
  ])('has all of a chunk that is answered with %i %o', async (status, headers) => {
    await using rig = await startUploads(`${UPLOADS}1`, answer(status, headers));
    const upload = await rig.repository.beginUpload(blob, call);
    expect(await upload.append(piece(0, 6), 6, call)).toBe(6);
    expect(upload.saved).toMatchObject({digest: blob.digest, offset: 6});
  });

  it.each([
    ['0-3', 4],
    ['bytes=0-3', 4],
    ['2-3', 4],
    ['0-0', 0],
    ['', 0],
  ])('is where the registry says when it is asked: range "%s"', async (range, offset) => {
    await using rig = await startUploads(`${UPLOADS}1`, answer(204, {range}));
    const upload = await rig.repository.beginUpload(blob, call);
    expect(await upload.queryOffset(call)).toBe(offset);
  });

  it('takes no chunks where the registry refuses one at the offset that it named', async () => {
    await using rig = await startUploads(`${UPLOADS}1`, ({method}, response) => {
      if (method === 'GET') response.writeHead(204, {range: '0-3'}).end();
      else sendError(response, 416, 'CONTENT_RANGE_INVALID', {range: '0-3'});
    });
    const upload = await rig.repository.beginUpload(blob, call);
    const refused = {code: 'UPLOAD_OFFSET_REFUSED', retry: true};
    await expect(upload.append(piece(0, 6), 6, call)).rejects.toMatchObject(refused);
    expect(await upload.queryOffset(call)).toBe(4);
    const unsupported = {code: 'UNSUPPORTED_BY_REGISTRY', retry: false};
    await expect(upload.append(piece(4, 6), 2, call)).rejects.toMatchObject(unsupported);
    const message = `${rig.server.host}: not using chunked uploads: PATCH ${rig.server.url}${UPLOADS}1 answered 416 to a chunk at the offset that the registry named; blobs are uploaded in one request instead`;
    expect(rig.notices).toEqual([{code: 'FEATURE_NOT_USED', message}]);
  });

  it('resumes if a late chunk moved the offset after the query', async () => {
    let kept = 4;
    await using rig = await startUploads(`${UPLOADS}1`, ({method, headers}, response) => {
      const range = `0-${kept - 1}`;
      if (method === 'GET') response.writeHead(204, {range}).end();
      else if (headers['content-range'] === '6-9') response.writeHead(202).end();
      else sendError(response, 416, 'CONTENT_RANGE_INVALID', {range: '0-5'});
      kept = 6;
    });
    const upload = await rig.repository.beginUpload(blob, call);
    expect(await upload.queryOffset(call)).toBe(4);
    const refused = {code: 'UPLOAD_OFFSET_REFUSED'};
    await expect(upload.append(piece(4, 10), 6, call)).rejects.toMatchObject(refused);
    expect(await upload.queryOffset(call)).toBe(6);
    expect(await upload.append(piece(6, 10), 4, call)).toBe(10);
  });

  it('takes 0-0 for one byte only where one was sent', async () => {
    await using rig = await startUploads(`${UPLOADS}1`, answer(202, {range: '0-0'}));
    const upload = await rig.repository.beginUpload(blob, call);
    expect(await upload.queryOffset(call)).toBe(0);
    expect(await upload.append(piece(0, 1), 1, call)).toBe(1);
    expect(await upload.queryOffset(call)).toBe(1);
  });

  it('knows the least chunk that the registry takes', async () => {
    const headers = {'oci-chunk-min-length': '5242880'};
    await using rig = await startUploads(`${UPLOADS}1`, answer(202), headers);
    expect((await rig.repository.beginUpload(blob, call)).minChunk).toBe(5_242_880);
  });

  it('takes the new location of a refused chunk, and asks there', async () => {
    await using rig = await startUploads(`${UPLOADS}1`, (request, response) => {
      const location = `${UPLOADS}2`;
      if (request.method === 'GET') response.writeHead(204, {location, range: '0-3'}).end();
      else sendError(response, 416, 'CONTENT_RANGE_INVALID', {location});
    });
    const upload = await rig.repository.beginUpload(blob, call);
    await expect(upload.append(piece(0, 6), 6, call)).rejects.toMatchObject({
      code: 'UPLOAD_OFFSET_REFUSED',
      retry: true,
    });
    expect(await upload.queryOffset(call)).toBe(4);
    expect(rig.server.requests.at(-1)?.target).toBe(`${UPLOADS}2`);
  });

  it('keeps the least chunk where a later answer does not say it, and believes one that does', async () => {
    let said: Record<string, string> = {};
    await using rig = await startUploads(
      `${UPLOADS}1`,
      (_request, response) => void response.writeHead(204, {range: '0-3', ...said}).end(),
      {'oci-chunk-min-length': '5242880'},
    );
    const {saved} = await rig.repository.beginUpload(blob, call);
    const resume = () =>
      rig.repository.resumeUpload(JSON.parse(JSON.stringify(saved)) as typeof saved, call);
    expect((await resume())?.minChunk).toBe(5_242_880);
    said = {'oci-chunk-min-length': '6000000'};
    expect((await resume())?.minChunk).toBe(6_000_000);
    said = {'oci-chunk-min-length': 'much'};
    expect((await resume())?.minChunk).toBe(5_242_880);
  });

  it.each([400, 404, 405, 410, 416])('is lost at %i', async (status) => {
    await using rig = await startUploads(`${UPLOADS}1`, answer(status));
    const upload = await rig.repository.beginUpload(blob, call);
    expect(await upload.queryOffset(call)).toBeUndefined();
    expect(await rig.repository.resumeUpload(upload.saved, call)).toBeUndefined();
    await upload.cancel(call);
  });

  it('is asked at another host only where the registry puts its uploads there', async () => {
    await using elsewhere = await startHttpServer(({method}, response) => {
      response.writeHead(method === 'GET' ? 204 : 202, {range: '0-3'}).end();
    });
    const saved = {digest: blob.digest, location: `${elsewhere.url}/old`, offset: 4};
    await using other = await startUploads(`${UPLOADS}1`, answer(202));
    const fresh = await other.repository.resumeUpload(saved, call);
    expect(fresh?.saved.location).toBe(`${other.server.url}${UPLOADS}1`);
    expect(fresh?.offset).toBe(0);
    expect(elsewhere.requests).toEqual([]);
    expect(other.notices.map(({code}) => code)).toEqual(['SAVED_UPLOAD_IGNORED']);

    await using rig = await startUploads(`${elsewhere.url}/new`, answer(599));
    const found = await rig.repository.resumeUpload(saved, call);
    expect(found?.saved.location).toBe(`${elsewhere.url}/old`);
    expect(found?.offset).toBe(4);
    expect(elsewhere.requests.map(({method, target}) => `${method} ${target}`)).toEqual([
      'GET /old',
      'DELETE /new',
    ]);
    expect(rig.notices).toEqual([]);
  });

  it.each(['file:///etc/passwd', 'ftp://127.0.0.1/1', 'not a URL'])(
    'is not asked at %s',
    async (location) => {
      await using rig = await startUploads(`${UPLOADS}1`, answer(202));
      const saved = {digest: blob.digest, location, offset: 4};
      expect(await rig.repository.resumeUpload(saved, call)).toBeUndefined();
      expect(rig.notices.map(({code}) => code)).toEqual(['SAVED_UPLOAD_IGNORED']);
      expect(rig.server.requests.filter(({url}) => url.pathname !== '/v2/')).toEqual([]);
    },
  );

  it('reports one that went away between two chunks', async () => {
    await using rig = await startUploads(`${UPLOADS}1`, (_request, response) => {
      sendError(response, 404, 'BLOB_UPLOAD_UNKNOWN');
    });
    const upload = await rig.repository.beginUpload(blob, call);
    await expect(upload.append(piece(0, 6), 6, call)).rejects.toMatchObject({
      code: 'UPLOAD_LOST',
      retry: true,
    });
  });

  it('is complete if it is gone and the blob exists: a response was lost', async () => {
    await using rig = await startUploads(`${UPLOADS}1`, (request, response) => {
      if (request.method === 'HEAD') response.writeHead(200).end();
      else sendError(response, 404, 'BLOB_UPLOAD_UNKNOWN');
    });
    await (await rig.repository.beginUpload(blob, call)).commit(blob, call);
    expect(rig.server.requests.at(-1)?.target).toBe(`/v2/a/blobs/${blob.digest}`);
  });

  it('is lost if it is gone and the blob does not exist', async () => {
    await using rig = await startUploads(`${UPLOADS}1`, answer(404));
    const upload = await rig.repository.beginUpload(blob, call);
    await expect(upload.commit(blob, call)).rejects.toMatchObject({code: 'UPLOAD_LOST'});
  });

  it('needs to know where', async () => {
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(202).end();
    });
    await using http = new HttpClient();
    const registry = new Registry({host: server.host, side: 'destination', http, plainHttp: true});
    const beginning = registry.repository('a' as RepositoryPath).beginUpload(blob, call);
    await expect(beginning).rejects.toMatchObject({code: 'RESPONSE_INVALID'});
  });

  it('keeps the port of the registry if its location lacks it, and reports that once', async () => {
    await using authority = await testAuthority();
    const location = `https://127.0.0.1${UPLOADS}1`;
    await using server = await startHttpServer(
      ({method}, response) =>
        void response.writeHead(method === 'PUT' ? 201 : 202, {location, ...STORED}).end(),
      {tls: authority.server},
    );
    await using http = new HttpClient({
      settings: {
        connectOptions: () => Promise.resolve({ca: [authority.authority.cert]}),
        proxyFor: () => undefined,
      },
    });
    const notices: string[] = [];
    const notice = ({code}: RegistryNotice) => void notices.push(code);
    const registry = new Registry({host: server.host, side: 'destination', http, notice});
    const upload = await registry.repository('a' as RepositoryPath).beginUpload(blob, call);
    await upload.append(piece(0, 10), 10, call);
    await upload.commit(blob, call);
    expect(upload.saved.location).toBe(`${server.url}${UPLOADS}1`);
    expect(notices).toEqual(['UPLOAD_LOCATION_PORT']);
  });

  it('does not change to another scheme, and reports that once', async () => {
    await using authority = await testAuthority();
    const tls = authority.server;
    await using server = await startHttpServer(
      (request, response) => {
        const location = `http://127.0.0.1${UPLOADS}1`;
        response.writeHead(request.method === 'PUT' ? 201 : 202, {location, ...STORED}).end();
      },
      {tls},
    );
    await using http = new HttpClient({
      settings: {
        connectOptions: () => Promise.resolve({ca: [authority.authority.cert]}),
        proxyFor: () => undefined,
      },
    });
    const notices: RegistryNotice[] = [];
    const notice = (given: RegistryNotice) => notices.push(given);
    const registry = new Registry({host: server.host, side: 'destination', http, notice});
    const upload = await registry.repository('a' as RepositoryPath).beginUpload(blob, call);
    await upload.append(piece(0, 10), 10, call);
    await upload.commit(blob, call);
    expect(upload.saved.location).toBe(`${server.url}${UPLOADS}1`);
    expect(notices.map(({code}) => code)).toEqual(['UPLOAD_LOCATION_HTTP']);
  });

  it('contains no login, also where its scheme is put right', async () => {
    await using server = await startHttpServer((_request, response) => {
      const location = `https://ada:secret-1@127.0.0.1${UPLOADS}1`;
      response.writeHead(202, {location, ...STORED}).end();
    });
    await using http = new HttpClient();
    const registry = new Registry({host: server.host, side: 'destination', http, plainHttp: true});
    const begun = registry.repository('a' as RepositoryPath).beginUpload(blob, call);
    await expect(begun).rejects.toMatchObject({code: 'REDIRECT_REFUSED'});
  });
});

describe('a whole blob', () => {
  it('is opened while its upload is, and the upload ended where it cannot be', async () => {
    await using rig = await startUploads(`${UPLOADS}1`, answer(202));
    const failure = new Error('the source is gone');
    const putting = rig.repository.putBlob(blob, () => Promise.reject(failure), call);
    await expect(putting).rejects.toBe(failure);
    expect(rig.server.requests.map(({method}) => method)).toEqual(['POST', 'DELETE']);
  });

  it('is let go where the upload cannot be opened', async () => {
    await using server = await startHttpServer((_request, response) => {
      sendError(response, 403, 'DENIED');
    });
    await using http = new HttpClient();
    const registry = new Registry({host: server.host, side: 'destination', http, plainHttp: true});
    let ended = false;
    const source: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(new Error('not to be read')),
        return: () => {
          ended = true;
          return Promise.resolve({done: true, value: undefined});
        },
      }),
    };
    const repository = registry.repository('a' as RepositoryPath);
    const putting = repository.putBlob(blob, () => Promise.resolve(source), call);
    await expect(putting).rejects.toMatchObject({code: 'FORBIDDEN'});
    expect(ended).toBe(true);
  });
});

/** A registry that answers so, asked to mount the blob into a repository; attempts are few. */
async function startMounts(handler: Handler) {
  const server = await startHttpServer(handler);
  const retry = {attempts: 2, attemptsAt500: 2, baseMs: 0, capMs: 0, budgetMs: 1000};
  const http = new HttpClient({retry});
  const notices: string[] = [];
  const registry = new Registry({
    host: server.host,
    side: 'destination',
    http,
    plainHttp: true,
    notice: ({code}) => notices.push(code),
  });
  const mount = (to: string) =>
    registry.repository(to as RepositoryPath).mount(blob, 'b' as RepositoryPath, call);
  return {
    server,
    notices,
    mount,
    async [Symbol.asyncDispose]() {
      await http[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

describe('a mount', () => {
  it.each([401, 403, 404, 429])('is declined with %i, each time anew', async (status) => {
    await using rig = await startMounts((_request, response) =>
      sendError(response, status, 'DENIED', {'retry-after': '0'}),
    );
    for (const to of ['a', 'c', 'd']) expect(await rig.mount(to)).toEqual({kind: 'declined'});
    expect(rig.notices).toEqual([]);
    expect(new Set(rig.server.requests.map(({url}) => url.pathname)).size).toBe(3);
  });

  it.each([
    ['405', (_request, response) => sendError(response, 405, 'UNSUPPORTED')],
    ['500', (_request, response) => sendError(response, 500, 'UNKNOWN')],
    ['503', (_request, response) => sendError(response, 503, 'UNAVAILABLE')],
    ['200', (_request, response) => void response.writeHead(200).end('alive')],
    ['202 without a Location', (_request, response) => void response.writeHead(202).end()],
    ['nothing', (_request, response) => void response.destroy()],
  ] satisfies [string, Handler][])(
    'that fails with %s is declined, told once, and given up after two',
    async (_what, handler) => {
      await using rig = await startMounts(handler);
      for (const to of ['a', 'c', 'd']) expect(await rig.mount(to)).toEqual({kind: 'declined'});
      expect(rig.notices).toEqual(['FEATURE_NOT_USED']);
      expect(new Set(rig.server.requests.map(({url}) => url.pathname)).size).toBe(2);
    },
  );
});
