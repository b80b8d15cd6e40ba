import {once} from 'node:events';
import {mkdir, readdir, symlink, writeFile} from 'node:fs/promises';
import {connect} from 'node:net';
import {text} from 'node:stream/consumers';
import {describe, expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {toldError} from '../support/error-lines.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';
import {openUpload, pushBlob, pushImage, send, sha256, someBlob} from './client.ts';

/** Sends a request line unchanged, which `fetch` would normalize. @returns the response */
async function raw(sandbox: Sandbox, line: string, headers = 'Host: localhost'): Promise<string> {
  const socket = connect(Number(new URL(sandbox.url).port), '127.0.0.1');
  socket.write(`${line} HTTP/1.1\r\n${headers}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  return text(socket);
}

describe('a path that leads out', () => {
  test.each([
    'GET /v2/../../secret/blobs/uploads/x',
    'GET /v2/%2e%2e/%2e%2e/manifests/secret',
    'PUT /v2/a/../../b/manifests/v1',
    'POST /v2/a/../b/blobs/uploads/',
    'POST /v2/_manifests/blobs/uploads/',
    'POST /v2/a%00b/blobs/uploads/',
    'GET /v2/a/manifests/..',
    'GET /v2/a/manifests/%2e%2e%2f%2e%2e%2fsecret',
    'GET /v2/a/blobs/sha256:../../../secret',
    'GET /v2/a/blobs/sha256:%2e%2e%2fsecret',
    'GET /v2/a/referrers/sha256:..',
    'PATCH /v2/a/blobs/uploads/..?_state=Li4',
    'GET /v2/a/blobs/uploads/%2e%2e%2f%2e%2e%2fsecret',
    'GET /v2/a/tags/list%',
    'GET //v2//secret',
    'GET /v2/a/tags/list/../../../secret',
    'OPTIONS *',
  ])('%s is refused, and nothing is written', async (line) => {
    await using temp = await tempDirectory();
    await writeFile(temp.join('secret'), 'secret');
    const storage = {kind: 'directory', path: temp.join('storage')} as const;
    await using sandbox = await startSandbox({storage});
    expect(await raw(sandbox, line)).toMatch(/^HTTP\/1\.1 (400|404) /);
    expect(sandbox.log.entries.map(({failure}) => failure)).toEqual([undefined]);
    expect(await readdir(temp.path)).toEqual(['secret']);
  });

  test.each([
    `mount=${sha256('x')}&from=../../secret`,
    `mount=${sha256('x')}/../x&from=a`,
    'mount=x&from=../a',
  ])('in a mount only opens an upload: %s', async (query) => {
    await using sandbox = await startSandbox();
    expect(await raw(sandbox, `POST /v2/a/blobs/uploads/?${query}`)).toMatch(/^HTTP\/1\.1 202 /);
  });
});

describe.each(['memory', 'directory'])('in the %s', (kind) => {
  async function start(path: string): Promise<Sandbox> {
    return startSandbox({storage: kind === 'memory' ? {kind} : {kind: 'directory', path}});
  }

  test('concurrent uploads of one blob all succeed', async () => {
    await using temp = await tempDirectory();
    await using sandbox = await start(temp.path);
    const {bytes, digest} = someBlob(300_000);
    const repositories = Array.from({length: 20}, (_, i) => `${sandbox.url}/v2/a/b${i % 4}`);
    await Promise.all(repositories.map((repository) => pushBlob(repository, bytes)));
    const pulled = await send('GET', `${repositories[0]}/blobs/${digest}`);
    expect(pulled.body.equals(bytes)).toBe(true);
  });

  test('a tag always resolves while it is written and read concurrently', async () => {
    await using temp = await tempDirectory();
    await using sandbox = await start(temp.path);
    const repository = `${sandbox.url}/v2/a/b`;
    await pushImage(repository, 'v1');
    const writes = Array.from({length: 20}, (_, i) => pushImage(repository, 'v1', {x: i}));
    const headers = {accept: 'application/vnd.oci.image.manifest.v1+json'};
    const reads = Array.from({length: 20}, () =>
      send('GET', `${repository}/manifests/v1`, {headers}),
    );
    for (const {answer} of await Promise.all(writes)) expect(answer.status).toBe(201);
    for (const read of await Promise.all(reads)) {
      expect(read.headers.get('docker-content-digest')).toBe(sha256(read.body));
    }
  });

  test('of two requests that close one upload, one succeeds and one is refused', async () => {
    await using temp = await tempDirectory();
    await using sandbox = await start(temp.path);
    const {bytes, digest} = someBlob();
    const put = `${await openUpload(`${sandbox.url}/v2/a/b`)}&digest=${digest}`;
    const both = await Promise.all([1, 2].map(() => send('PUT', put, {body: bytes})));
    expect(new Set(both.map(({status}) => status))).toEqual(new Set([201, 404]));
    expect((await send('HEAD', `${sandbox.url}/v2/a/b/blobs/${digest}`)).status).toBe(200);
  });
});

test('a refused body does not affect the next request of the connection', async () => {
  await using sandbox = await startSandbox();
  const socket = connect(Number(new URL(sandbox.url).port), '127.0.0.1');
  const size = 5 * 1024 * 1024;
  socket.write(
    `PUT /v2/a/b/manifests/v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${size}\r\n\r\n`,
  );
  socket.write(Buffer.alloc(size));
  socket.end('GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  const answers = await text(socket);
  expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200']);
});

test('a download that is aborted does not affect the next one', async () => {
  await using sandbox = await startSandbox();
  const digest = await pushBlob(`${sandbox.url}/v2/a/b`, Buffer.alloc(20_000_000));
  const socket = connect(Number(new URL(sandbox.url).port), '127.0.0.1');
  socket.write(`GET /v2/a/b/blobs/${digest} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await once(socket, 'data');
  socket.destroy();
  expect((await send('GET', `${sandbox.url}/v2/a/b/blobs/${digest}`)).status).toBe(200);
});

describe('a web page', () => {
  test.each<[string, string, string?]>([
    ['of another site', 'Host: localhost:5050\r\nOrigin: https://evil.test'],
    ['without an origin of its own', 'Host: 127.0.0.1\r\nOrigin: null'],
    ['whose name resolves to loopback', 'Host: evil.test'],
    ['whose name begins like loopback', 'Host: 127.0.0.1.evil.test'],
    ['that names two hosts', 'Host: localhost\r\nHost: evil.test'],
    ['with a login in its host', 'Host: evil.test@localhost'],
    ['that sends no origin', 'Host: localhost\r\nSec-Fetch-Site: cross-site'],
    ['that sends only its address', 'Host: localhost\r\nReferer: https://evil.test/'],
    ['that asks first', 'Host: localhost\r\nOrigin: https://evil.test', 'OPTIONS'],
    [
      'that opens a socket',
      'Host: localhost\r\nOrigin: https://evil.test\r\nUpgrade: websocket\r\nConnection: Upgrade',
      'GET',
    ],
  ])('%s is refused', async (_, headers, method = 'POST') => {
    await using sandbox = await startSandbox();
    expect(await raw(sandbox, `${method} /v2/a/blobs/uploads/`, headers)).toMatch(
      /^HTTP\/1\.1 403 /,
    );
  });

  test.each([
    'Host: localhost:1',
    'Host: [::1]:1',
    'Host: 127.0.0.1\r\nOrigin: http://localhost:3000',
    'Host: [::1]\r\nReferer: http://[::1]:3000/page\r\nSec-Fetch-Site: same-site',
  ])('of this machine is not: %s', async (headers) => {
    await using sandbox = await startSandbox();
    expect(await raw(sandbox, 'POST /v2/a/blobs/uploads/', headers)).toMatch(/^HTTP\/1\.1 202 /);
  });
});

test('many open uploads, the first of which is closed last, all succeed', async () => {
  await using sandbox = await startSandbox();
  const repository = `${sandbox.url}/v2/a/b`;
  const {bytes, digest} = someBlob();
  const first = await openUpload(repository);
  for (let at = 0; at < 1000; at++) await sandbox.storage.uploads.begin('a/b' as RepositoryPath);
  const {status} = await send('PUT', `${first}&digest=${digest}`, {body: bytes});
  expect(status).toBe(201);
});

test.each(['repositories', 'blobs/sha256'])(
  'a link at %s of its directory is refused',
  async (at) => {
    await using temp = await tempDirectory();
    await mkdir(temp.join('elsewhere'));
    await mkdir(temp.join('store', at, '..'), {recursive: true});
    await symlink(temp.join('elsewhere'), temp.join('store', at));
    const run = await transship(['sandbox', '--port', '0', '--dir', temp.join('store')]);
    const error = toldError(run);
    expect(error).toMatchObject({code: 'FILE_INVALID', exit: 64});
    expect(error.message).toContain('is a symbolic link');
  },
);
