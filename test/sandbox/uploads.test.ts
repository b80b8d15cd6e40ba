import {connect} from 'node:net';
import {once} from 'node:events';
import {describe, expect, test} from 'vitest';
import {GITLAB_FLAVOUR} from '../../src/sandbox/registry.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {tempDirectory} from '../support/temp.ts';
import {codes, locationOf, openUpload, pushBlob, send, sha256, someBlob} from './client.ts';

/** Only polling shows that the server has noticed a broken connection. */
const PATIENT = {timeout: 30_000, interval: 5};

describe('an upload in one piece', () => {
  test('is sent with the PUT', async () => {
    await using sandbox = await startSandbox();
    const repository = `${sandbox.url}/v2/a/b`;
    const {bytes, digest} = someBlob();
    const opened = await send('POST', `${repository}/blobs/uploads/`);
    expect(opened.status).toBe(202);
    expect(opened.headers.get('range')).toBe('0-0');
    expect(opened.headers.get('docker-upload-uuid')).toMatch(/^[0-9a-f-]{36}$/);

    const closed = await send('PUT', `${locationOf(opened)}&digest=${digest}`, {body: bytes});
    expect(closed.status).toBe(201);
    expect(closed.headers.get('docker-content-digest')).toBe(digest);
    const pulled = await send('GET', locationOf(closed));
    expect(pulled.body.equals(bytes)).toBe(true);
  });

  test('is sent with the POST if the registry supports that', async () => {
    const {bytes, digest} = someBlob();
    await using sandbox = await startSandbox();
    const uploads = `/v2/a/b/blobs/uploads/?digest=${digest}`;
    expect((await send('POST', sandbox.url + uploads, {body: bytes})).status).toBe(201);
    expect((await send('HEAD', `${sandbox.url}/v2/a/b/blobs/${digest}`)).status).toBe(200);

    await using without = await startSandbox({flavour: {singlePost: false}});
    expect((await send('POST', without.url + uploads, {body: bytes})).status).toBe(202);
    expect((await send('HEAD', `${without.url}/v2/a/b/blobs/${digest}`)).status).toBe(404);
  });

  test('may have a sha512 digest', async () => {
    await using sandbox = await startSandbox();
    const repository = `${sandbox.url}/v2/a/b`;
    const digest =
      'sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e';
    const put = await send('PUT', `${await openUpload(repository)}&digest=${digest}`);
    expect(put.status).toBe(201);
    expect((await send('GET', `${repository}/blobs/${digest}`)).body.byteLength).toBe(0);
  });

  test('with another digest is refused and discarded', async () => {
    await using sandbox = await startSandbox();
    const location = await openUpload(`${sandbox.url}/v2/a/b`);
    const wrong = await send('PUT', `${location}&digest=${sha256('other')}`, {body: 'this'});
    expect(wrong.status).toBe(400);
    expect(codes(wrong)).toEqual(['DIGEST_INVALID']);
    expect((await send('GET', location)).status).toBe(404);
    const blob = await send('HEAD', `${sandbox.url}/v2/a/b/blobs/${sha256('other')}`);
    expect(blob.status).toBe(404);
  });
});

describe('an upload in chunks', () => {
  test('continues at each new Location, and reports its offset', async () => {
    await using sandbox = await startSandbox();
    const first = await send('PATCH', await openUpload(`${sandbox.url}/v2/a/b`), {
      body: 'hello ',
      headers: {'content-range': '0-5', 'content-type': 'application/octet-stream'},
    });
    expect(first.status).toBe(202);
    expect(first.headers.get('range')).toBe('0-5');
    const second = await send('PATCH', locationOf(first), {body: 'wor'});
    expect(second.headers.get('range')).toBe('0-8');
    expect(locationOf(second)).not.toBe(locationOf(first));

    const asked = await send('GET', locationOf(first));
    expect(asked.status).toBe(204);
    expect(asked.headers.get('range')).toBe('0-8');
    const digest = sha256('hello world');
    const closed = await send('PUT', `${locationOf(asked)}&digest=${digest}`, {
      body: 'ld',
      headers: {'content-range': '9-10'},
    });
    expect(closed.status).toBe(201);
  });

  test.each([
    ['that starts too late', '5-9', 416, 'CONTENT_RANGE_INVALID'],
    ['that starts too early', '0-4', 416, 'CONTENT_RANGE_INVALID'],
    ['of another length', '3-9', 400, 'SIZE_INVALID'],
    ['that is malformed', 'three to nine', 500, 'UNKNOWN'],
    ['with a unit', 'bytes 3-7', 500, 'UNKNOWN'],
  ])('refuses a range %s, and keeps its offset', async (_what, range, status, code) => {
    await using sandbox = await startSandbox();
    const opened = await openUpload(`${sandbox.url}/v2/a/b`);
    const location = locationOf(await send('PATCH', opened, {body: 'abc'}));
    const refused = await send('PATCH', location, {
      body: 'defgh',
      headers: {'content-range': range},
    });
    expect(refused.status).toBe(status);
    expect(codes(refused)).toEqual([code]);
    // As registries of the distribution family do, it does not report the offset in the refusal.
    expect(refused.headers.get('range')).toBeNull();
    expect((await send('GET', location)).headers.get('range')).toBe('0-2');
  });

  test('refuses an outdated Location; the query of the offset has the current one', async () => {
    await using sandbox = await startSandbox();
    const old = await openUpload(`${sandbox.url}/v2/a/b`);
    await send('PATCH', old, {body: 'abc'});
    for (const method of ['PATCH', 'PUT', 'DELETE']) {
      const refused = await send(method, old, method === 'DELETE' ? {} : {body: 'def'});
      expect(refused.status).toBe(416);
      expect(codes(refused)).toEqual(['RESUMABLE_BLOB_UPLOAD_INVALID']);
    }
    const current = locationOf(await send('GET', old));
    expect((await send('PATCH', current, {body: 'def'})).status).toBe(202);
  });

  test('accepts one of two chunks with the same offset', async () => {
    await using sandbox = await startSandbox();
    const location = await openUpload(`${sandbox.url}/v2/a/b`);
    const both = await Promise.all(
      ['aaa', 'bbb'].map((body) =>
        send('PATCH', location, {body, headers: {'content-range': '0-2'}}),
      ),
    );
    expect(new Set(both.map(({status}) => status))).toEqual(new Set([202, 416]));
    expect((await send('GET', location)).headers.get('range')).toBe('0-2');
  });

  test('can be cancelled', async () => {
    await using sandbox = await startSandbox();
    const location = await openUpload(`${sandbox.url}/v2/a/b`);
    expect((await send('DELETE', location)).status).toBe(204);
    const gone = await send('PATCH', location, {body: 'abc'});
    expect(gone.status).toBe(404);
    expect(codes(gone)).toEqual(['BLOB_UPLOAD_UNKNOWN']);
  });

  test('announces the minimum size of a chunk', async () => {
    await using sandbox = await startSandbox({flavour: {minChunk: 5_000_000}});
    const opened = await send('POST', `${sandbox.url}/v2/a/b/blobs/uploads/`);
    expect(opened.headers.get('oci-chunk-min-length')).toBe('5000000');
  });

  test('accepts a smaller chunk only as the last', async () => {
    await using sandbox = await startSandbox({flavour: {minChunk: 6}});
    const opened = await openUpload(`${sandbox.url}/v2/a/b`);
    const large = await send('PATCH', opened, {body: 'hello '});
    const small = await send('PATCH', locationOf(large), {body: 'world'});
    expect([large.status, small.status]).toEqual([202, 202]);
    for (const [method, query] of [
      ['PATCH', ''],
      ['PUT', `&digest=${sha256('hello world!')}`],
    ] as const) {
      const refused = await send(method, locationOf(small) + query, {body: '!'});
      expect(refused.status).toBe(416);
      expect(codes(refused)).toEqual(['CONTENT_RANGE_INVALID']);
    }
    const closed = await send('PUT', `${locationOf(small)}&digest=${sha256('hello world')}`);
    expect(closed.status).toBe(201);
  });
});

test('bytes received before the connection broke are kept, also across a restart', async () => {
  await using temp = await tempDirectory();
  const storage = {kind: 'directory', path: temp.path} as const;
  let path: string;
  {
    await using sandbox = await startSandbox({storage});
    const location = new URL(await openUpload(`${sandbox.url}/v2/a/b`));
    path = location.pathname + location.search;
    const socket = connect(Number(location.port), location.hostname);
    socket.on('error', () => {});
    socket.write(`PATCH ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhello `);
    const stands = async () => (await send('GET', location.href)).headers.get('range');
    await expect.poll(stands, PATIENT).toBe('0-5');
    socket.destroy();
    await once(socket, 'close');
    const patch = () => sandbox.log.entries.find(({method}) => method === 'PATCH');
    await expect.poll(patch, PATIENT).toMatchObject({status: undefined, bytesIn: 6});
  }
  await using sandbox = await startSandbox({storage});
  const asked = await send('GET', sandbox.url + path);
  expect(asked.headers.get('range')).toBe('0-5');
  const digest = sha256('hello world');
  const closed = await send('PUT', `${locationOf(asked)}&digest=${digest}`, {body: 'world'});
  expect(closed.status).toBe(201);
});

describe('mounting', () => {
  test('links the blob of the other repository', async () => {
    await using sandbox = await startSandbox();
    const digest = await pushBlob(`${sandbox.url}/v2/from/here`, 'blob');
    const uploads = `${sandbox.url}/v2/to/there/blobs/uploads/?mount=${digest}`;
    const mounted = await send('POST', `${uploads}&from=from/here`);
    expect(mounted.status).toBe(201);
    expect((await send('GET', locationOf(mounted))).body.toString()).toBe('blob');
  });

  test('searches all repositories if none is named', async () => {
    await using sandbox = await startSandbox();
    const digest = await pushBlob(`${sandbox.url}/v2/from/here`, 'blob');
    const uploads = `${sandbox.url}/v2/to/there/blobs/uploads/?mount=${digest}`;
    expect((await send('POST', uploads)).status).toBe(201);
  });

  test.each([
    ['without from', ''],
    ['of an invalid digest', 'from=from/here'],
  ])('%s opens an upload at GitLab', async (_what, from) => {
    await using sandbox = await startSandbox({flavour: GITLAB_FLAVOUR});
    const digest = await pushBlob(`${sandbox.url}/v2/from/here`, 'blob');
    const mount = from === '' ? digest : 'sha256:abc';
    const uploads = `${sandbox.url}/v2/to/there/blobs/uploads/?mount=${mount}&${from}`;
    expect((await send('POST', uploads)).status).toBe(202);
  });

  test('of an unknown blob opens an upload', async () => {
    await using sandbox = await startSandbox();
    const digest = sha256('blob');
    const uploads = `${sandbox.url}/v2/to/there/blobs/uploads/?mount=${digest}`;
    const declined = await send('POST', `${uploads}&from=from/here`);
    expect(declined.status).toBe(202);
    const closed = await send('PUT', `${locationOf(declined)}&digest=${digest}`, {body: 'blob'});
    expect(closed.status).toBe(201);
  });
});
