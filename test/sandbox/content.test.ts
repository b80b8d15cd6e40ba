import {describe, expect, test} from 'vitest';
import {DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST} from '../../src/model/media-type.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {codes, json, pushBlob, pushImage, putManifest, send, sha256} from './client.ts';

const SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+json';
const CONFIG = JSON.stringify({mediaType: 'application/x', digest: sha256(''), size: 0});

describe('a blob', () => {
  test.each([
    ['bytes=0-3', 206, '0123', 'bytes 0-3/10'],
    ['bytes=7-', 206, '789', 'bytes 7-9/10'],
    ['bytes=-2', 206, '89', 'bytes 8-9/10'],
    ['bytes=8-100', 206, '89', 'bytes 8-9/10'],
    ['bytes=-100', 206, '0123456789', 'bytes 0-9/10'],
    ['bytes=10-', 416, 'invalid range: failed to overlap\n', 'bytes */10'],
    ['bytes=-0', 416, 'invalid range: failed to overlap\n', 'bytes */10'],
    ['bytes=3-2', 416, 'invalid range\n', null],
    ['bytes=0-1,4-5', 200, '0123456789', null],
    ['lines=1-2', 200, '0123456789', null],
  ])('for Range %s is answered with %i', async (range, status, text, contentRange) => {
    await using sandbox = await startSandbox();
    const digest = await pushBlob(`${sandbox.url}/v2/a/b`, '0123456789');
    const pulled = await send('GET', `${sandbox.url}/v2/a/b/blobs/${digest}`, {headers: {range}});
    expect(pulled.status).toBe(status);
    expect(pulled.body.toString()).toBe(text);
    expect(pulled.headers.get('content-range')).toBe(contentRange);
  });

  test('has a size that HEAD reports', async () => {
    await using sandbox = await startSandbox();
    const digest = await pushBlob(`${sandbox.url}/v2/a/b`, '0123456789');
    const {status, headers} = await send('HEAD', `${sandbox.url}/v2/a/b/blobs/${digest}`);
    expect(status).toBe(200);
    expect(headers.get('content-length')).toBe('10');
    expect(headers.get('docker-content-digest')).toBe(digest);
  });

  test('is deleted from its repository only', async () => {
    await using sandbox = await startSandbox();
    const digest = await pushBlob(`${sandbox.url}/v2/a/b`, 'blob');
    await pushBlob(`${sandbox.url}/v2/a/c`, 'blob');
    expect((await send('DELETE', `${sandbox.url}/v2/a/b/blobs/${digest}`)).status).toBe(202);
    expect((await send('DELETE', `${sandbox.url}/v2/a/b/blobs/${digest}`)).status).toBe(404);
    expect((await send('GET', `${sandbox.url}/v2/a/b/blobs/${digest}`)).status).toBe(404);
    expect((await send('GET', `${sandbox.url}/v2/a/c/blobs/${digest}`)).status).toBe(200);
  });
});

describe('a manifest', () => {
  test('is stored byte for byte, under tag and digest', async () => {
    await using sandbox = await startSandbox();
    const repository = `${sandbox.url}/v2/a/b`;
    const {bytes, digest, answer} = await pushImage(repository, 'v1', {'x-odd': [1.0, '\u00e9']});
    expect(answer.status).toBe(201);
    expect(answer.headers.get('docker-content-digest')).toBe(digest);
    for (const reference of ['v1', digest]) {
      const pulled = await send('GET', `${repository}/manifests/${reference}`, {
        headers: {accept: OCI_MANIFEST},
      });
      expect(pulled.body.toString()).toBe(bytes);
      expect(pulled.headers.get('content-type')).toBe(OCI_MANIFEST);
    }
    const head = await send('HEAD', `${repository}/manifests/v1`, {
      headers: {accept: OCI_MANIFEST},
    });
    expect(head.headers.get('content-length')).toBe(String(Buffer.byteLength(bytes)));
    expect(head.headers.get('docker-content-digest')).toBe(digest);
  });

  test.each([
    ['is not JSON', '{"schemaVersion": 2', 400, 'MANIFEST_INVALID'],
    ['is an array', '[]', 400, 'MANIFEST_INVALID'],
    ['has no config', '{"schemaVersion": 2}', 400, 'MANIFEST_INVALID'],
    ['is of schema 1', `{"mediaType": "${SCHEMA1}"}`, 400, 'MANIFEST_INVALID'],
    ['has another schemaVersion', `{"schemaVersion": 3, "config": ${CONFIG}}`, 500, 'UNKNOWN'],
    ['says another type', `{"mediaType": "${DOCKER_MANIFEST}"}`, 400, 'MANIFEST_INVALID'],
    ['is larger than 4 MiB', `"${'x'.repeat(4 * 1024 * 1024)}"`, 413, 'MANIFEST_INVALID'],
  ])('that %s is refused', async (_what, body, status, code) => {
    await using sandbox = await startSandbox();
    const type = body.includes(SCHEMA1) ? SCHEMA1 : OCI_MANIFEST;
    const refused = await putManifest(`${sandbox.url}/v2/a/b`, 'v1', body, type);
    expect(refused.status).toBe(status);
    expect(codes(refused)).toEqual([code]);
  });

  test('under another digest is refused', async () => {
    await using sandbox = await startSandbox();
    const {answer} = await pushImage(`${sandbox.url}/v2/a/b`, sha256('other'));
    expect(answer.status).toBe(400);
    expect(codes(answer)).toEqual(['DIGEST_INVALID']);
  });

  test('that refers to content outside its repository is refused, with an entry for each', async () => {
    await using sandbox = await startSandbox();
    const {digest} = await pushImage(`${sandbox.url}/v2/other/place`);
    const blob = await pushBlob(`${sandbox.url}/v2/other/place`, 'blob');
    const child = {mediaType: OCI_MANIFEST, digest, size: 1};
    const manifests = [child, child, {mediaType: 'application/x-layer', digest: blob, size: 4}];
    const body = JSON.stringify({schemaVersion: 2, mediaType: OCI_INDEX, manifests});
    const refused = await putManifest(`${sandbox.url}/v2/a/b`, 'v1', body, OCI_INDEX);
    expect(refused.status).toBe(400);
    expect(json(refused)).toMatchObject({
      errors: [
        {code: 'MANIFEST_BLOB_UNKNOWN', detail: digest},
        {code: 'MANIFEST_BLOB_UNKNOWN', detail: digest},
        {code: 'MANIFEST_BLOB_UNKNOWN', detail: blob},
      ],
    });
    const accepted = await putManifest(`${sandbox.url}/v2/other/place`, 'v1', body, OCI_INDEX);
    expect(accepted.status).toBe(201);
  });

  test('may have absent foreign layers if the registry allows it', async () => {
    const layers = [
      {mediaType: 'application/x', digest: sha256('far'), size: 3, urls: ['https://far.test/x']},
    ];
    await using lenient = await startSandbox();
    expect((await pushImage(`${lenient.url}/v2/a/b`, 'v1', {layers})).answer.status).toBe(201);
    await using strict = await startSandbox({flavour: {foreignLayers: false}});
    expect((await pushImage(`${strict.url}/v2/a/b`, 'v1', {layers})).answer.status).toBe(400);
  });

  test('of OCI is sent only to clients that name its type', async () => {
    await using sandbox = await startSandbox();
    await pushImage(`${sandbox.url}/v2/a/b`, 'v1');
    const url = `${sandbox.url}/v2/a/b/manifests/v1`;
    const refused = await send('GET', url, {headers: {accept: '*/*'}});
    expect(refused.status).toBe(404);
    expect(json(refused)).toMatchObject({
      errors: [{message: 'OCI manifest found, but accept header does not support OCI manifests'}],
    });
    const accept = `text/html, ${OCI_MANIFEST};q=0.5`;
    expect((await send('GET', url, {headers: {accept}})).status).toBe(200);
  });

  test('list of Docker becomes its linux/amd64 image for clients that do not name lists', async () => {
    await using sandbox = await startSandbox();
    const repository = `${sandbox.url}/v2/a/b`;
    const {digest} = await pushImage(repository);
    const platform = {os: 'linux', architecture: 'amd64'};
    const list = JSON.stringify({
      schemaVersion: 2,
      mediaType: DOCKER_LIST,
      manifests: [{mediaType: OCI_MANIFEST, digest, size: 1, platform}],
    });
    await putManifest(repository, 'v1', list, DOCKER_LIST);
    const get = async (reference: string) => {
      const {headers} = await send('GET', `${repository}/manifests/${reference}`);
      return headers.get('docker-content-digest');
    };
    expect(await get('v1')).toBe(digest);
    expect(await get(sha256(list))).toBe(sha256(list));
  });

  test('is deleted with its tags by digest, and without them by tag', async () => {
    await using sandbox = await startSandbox();
    const repository = `${sandbox.url}/v2/a/b`;
    const {digest} = await pushImage(repository, 'one');
    await pushImage(repository, 'two');
    await pushImage(repository, 'other', {annotations: {a: 'b'}});
    const tags = async () => json(await send('GET', `${repository}/tags/list`));
    expect((await send('DELETE', `${repository}/manifests/one`)).status).toBe(202);
    expect(await tags()).toEqual({name: 'a/b', tags: ['other', 'two']});
    expect((await send('DELETE', `${repository}/manifests/${digest}`)).status).toBe(202);
    expect(await tags()).toEqual({name: 'a/b', tags: ['other']});
    expect((await send('DELETE', `${repository}/manifests/${digest}`)).status).toBe(404);
    expect((await send('DELETE', `${repository}/manifests/other`)).status).toBe(202);
    expect(await tags()).toEqual({name: 'a/b', tags: null});
  });

  test('cannot be deleted where deletion is disabled', async () => {
    await using sandbox = await startSandbox({flavour: {deleteByTag: false}});
    const {digest} = await pushImage(`${sandbox.url}/v2/a/b`, 'v1');
    const refused = await send('DELETE', `${sandbox.url}/v2/a/b/manifests/v1`);
    expect(refused.status).toBe(405);
    expect(codes(refused)).toEqual(['UNSUPPORTED']);
    const url = `${sandbox.url}/v2/a/b/manifests/${digest}`;
    expect((await send('DELETE', url)).status).toBe(202);
  });
});
