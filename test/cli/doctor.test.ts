import {once} from 'node:events';
import {createServer} from 'node:https';
import type {AddressInfo} from 'node:net';
import {Readable} from 'node:stream';
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest';
import type {Finding} from '../../src/doctor/examination.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {startGitLabSandbox} from '../../src/sandbox/gitlab/gitlab-sandbox.ts';
import {parseSeed} from '../../src/sandbox/gitlab/seed.ts';
import {emptyReply, type Intercept, jsonReply} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {testAuthority} from '../support/certificates.ts';
import {startDockerRegistry} from '../support/docker-registry.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {pushImage} from '../support/push-image.ts';
import {storeImage} from '../support/small-images.ts';
import {transship} from '../support/transship.ts';

const MIB = 1024 * 1024;
const cleanup = new AsyncDisposableStack();
let sandbox: Sandbox;
let intercept: Intercept;
let count = 0;
let repository: RepositoryPath;

beforeAll(async () => {
  sandbox = cleanup.use(
    await startSandbox({intercept: (exchange, next) => intercept(exchange, next)}),
  );
});
afterAll(() => cleanup.disposeAsync());
beforeEach(() => {
  intercept = (_, next) => next();
  repository = `test/r${++count}` as RepositoryPath;
});

async function doctor(place: string, flags: readonly string[] = [], env = {}) {
  const run = await transship(['doctor', place, '--format', 'json', ...flags], {env});
  const {findings, result} = JSON.parse(run.stdout) as {findings: Finding[]; result: string};
  const of = (check: string) =>
    findings.filter((one) => one.check === check).map((one) => one.result);
  return {code: run.code, result, findings, of};
}

const checksOf = (findings: readonly Finding[], result: Finding['result']) =>
  findings.filter((one) => one.result === result).map(({check}) => check);

describe('doctor', () => {
  test('finds nothing wrong with a healthy registry, and leaves no content', async () => {
    await storeImage(sandbox.storage, repository, 'v1', [Buffer.from('a layer')]);
    await storeImage(sandbox.storage, repository, 'v2', [Buffer.from('another')]);
    const found = await doctor(`${sandbox.host}/${repository}`, ['--write']);
    expect([found.code, found.result]).toEqual([0, 'pass']);
    expect(checksOf(found.findings, 'pass')).toEqual(
      expect.arrayContaining(
        'tls challenge login catalog tags paging head ranges redirects referrers upload chunks resume cut largest-body mount location manifests subject delete-tag delete-digest delete-blob'.split(
          ' ',
        ),
      ),
    );
    expect(await sandbox.storage.manifests.tags(repository)).toEqual(['v1', 'v2']);
  });

  test('knows what docker-registry 2.8 cannot do', async () => {
    await using docker = await startDockerRegistry();
    for (const tag of ['a', 'b']) await pushImage(docker.url, repository, tag);
    const found = await doctor(`${docker.host}/${repository}`, ['--write']);
    expect([found.code, checksOf(found.findings, 'warn')]).toEqual([0, ['cut', 'delete-tag']]);
    const tags = await fetch(`${docker.url}/v2/${repository}/tags/list`);
    // Its trial tag went with its digest.
    expect(((await tags.json()) as {tags: string[]}).tags.toSorted()).toEqual(['a', 'b']);
  });

  test.each(['metadata-db', 'legacy'] as const)('knows GitLab in mode %s', async (mode) => {
    await using gitlab = await startGitLabSandbox({
      mode,
      seed: parseSeed({
        users: [
          {name: 'root', admin: true},
          {name: 'ada', password: 'ada-password'},
        ],
        groups: [{path: 'acme', members: {ada: 'maintainer'}}],
        projects: [{path: 'acme/app', images: [{layout: layoutDirectory('busybox')}]}],
      }),
    });
    const place = `${gitlab.host}/acme/app`;
    const env = {
      TRANSSHIP_DESTINATION_USERNAME: 'ada',
      TRANSSHIP_DESTINATION_PASSWORD: 'ada-password',
      TRANSSHIP_DESTINATION_HOST: gitlab.host,
    };
    const found = await doctor(place, ['--write'], env);
    expect([found.code, checksOf(found.findings, 'fail')]).toEqual([0, []]);
    const product = found.findings.find(({check}) => check === 'product');
    expect(product?.finding).toContain(mode === 'legacy' ? 'without' : 'with metadata database');
    expect(await gitlab.storage.manifests.tags('acme/app' as RepositoryPath)).toHaveLength(3);
    const stranger = await doctor(place);
    expect([stranger.code, stranger.of('login').concat(stranger.of('token'))]).toEqual([
      1,
      ['fail'],
    ]);
    expect(JSON.stringify(found.findings)).not.toContain('ada-password');
  });

  test('examines a GitLab instance, a project, and its registry', async () => {
    let version = '18.9.2';
    await using gitlab = await startGitLabSandbox({
      seed: parseSeed({
        users: [{name: 'root', admin: true}, {name: 'ada'}],
        tokens: [
          {value: 'ada-api', user: 'ada', scopes: ['api'], expires: '2999-01-01'},
          {value: 'ada-read', user: 'ada', scopes: ['read_api'], expires: '2999-01-01'},
        ],
        groups: [{path: 'acme', members: {ada: 'maintainer'}}],
        projects: [
          {
            path: 'acme/app',
            images: [{layout: layoutDirectory('busybox')}],
            cleanup: {enabled: true, name_regex: '.*'},
          },
          {path: 'acme/off', registry: 'disabled'},
          {path: 'acme/empty'},
          {path: 'acme/_tools-'},
        ],
      }),
      intercept: async ({path}, next) =>
        path.endsWith('/version') ? jsonReply(200, {version, revision: 'abc'}) : await next(),
    });
    const look = (project: string, token = 'ada-api') =>
      doctor(`--gitlab=${gitlab.url}`, ['--project', project], {GITLAB_TOKEN: token});
    const found = await look('acme/app');
    expect([found.code, checksOf(found.findings, 'warn')]).toEqual([0, ['cleanup']]);
    expect(checksOf(found.findings, 'pass')).toEqual(
      expect.arrayContaining(
        'gitlab-version gitlab-token repositories protection product ranges'.split(' '),
      ),
    );
    expect(checksOf(found.findings, 'pass')).toContain('transfer');
    const written = await doctor(
      `--gitlab=${gitlab.url}`,
      ['--project', 'acme/app', '--write', '--max-body', '1MiB'],
      {GITLAB_TOKEN: 'ada-api'},
    );
    expect([written.code, written.of('delete-tag')]).toEqual([0, ['pass']]);
    const empty = await doctor(`--gitlab=${gitlab.url}`, ['--project', 'acme/empty', '--write'], {
      GITLAB_TOKEN: 'ada-api',
    });
    // Its registry is looked at all the same; an empty repository would keep its group from being moved.
    expect([empty.of('login'), empty.of('upload')]).toEqual([['pass'], ['warn']]);
    expect((await look('acme/_tools-')).of('names')).toEqual(['fail']);
    expect((await look('acme/app', 'ada-read')).of('gitlab-token')).toEqual(['warn']);
    expect((await look('acme/off')).of('registry')).toEqual(['fail']);
    expect((await look('acme/none')).of('project')).toEqual(['fail']);
    version = '19.0.1-ee';
    expect((await look('acme/app')).of('gitlab-version')).toEqual(['pass', 'warn', 'warn']);
  });

  test('finds a registry that keeps what it says to delete', async () => {
    await storeImage(sandbox.storage, repository, 'v1', [Buffer.from('a layer')]);
    intercept = async ({method, path}, next) =>
      method === 'DELETE' && path.includes('transship-doctor')
        ? {status: 202, headers: {'content-length': '0'}}
        : await next();
    const found = await doctor(`${sandbox.host}/${repository}`, ['--write']);
    expect([found.code, found.of('delete-tag')]).toEqual([1, ['fail']]);
  });

  test('finds what uploads cannot do, and leaves nothing behind', async () => {
    await storeImage(sandbox.storage, repository, 'v1', [Buffer.from('a layer')]);
    intercept = async ({method, query, headers, route, body}, next) => {
      const size = Number(headers['content-length'] ?? 0);
      if (method === 'PATCH' && size > 8 * MIB) {
        for await (const _ of body);
        return emptyReply(413);
      }
      // What is cut is gone.
      if (method === 'GET' && route.kind === 'upload' && isCut) return emptyReply(404);
      if (method === 'PATCH' && size === 128 * 1024) isCut = true;
      if (query.has('mount')) query.delete('mount');
      return await next();
    };
    let isCut = false;
    const found = await doctor(`${sandbox.host}/${repository}`, ['--write']);
    const told = (check: string) => found.findings.find((one) => one.check === check);
    expect([found.code, checksOf(found.findings, 'warn')]).toEqual([
      0,
      ['cut', 'largest-body', 'mount'],
    ]);
    expect(told('cut')?.brief).toBe('lost');
    expect(told('largest-body')).toMatchObject({brief: '8 MiB'});
    expect(told('largest-body')?.hint).toContain('--chunk-size 8MiB');
    expect(await sandbox.storage.manifests.tags(repository)).toEqual(['v1']);
    expect(found.of('delete-blob')).toEqual(['pass']);
  });

  test('finds uploads that have another address', async () => {
    await storeImage(sandbox.storage, repository, 'v1', [Buffer.from('a layer')]);
    const told: string[] = [];
    for (const change of [
      (url: URL) => url.pathname + url.search,
      (url: URL) => url.href.replace('http:', 'https:'),
      (url: URL) => url.href.replace(url.host, url.hostname),
      (url: URL) => url.href.replace(url.host, 'uploads.test'),
    ]) {
      intercept = async ({method}, next) => {
        const reply = await next();
        const {location} = reply.headers;
        if (method !== 'POST' || typeof location !== 'string') return reply;
        const url = new URL(location, sandbox.url);
        return {...reply, headers: {...reply.headers, location: change(url)}};
      };
      const flags = ['--write', '--max-body', '1MiB'];
      const {findings} = await doctor(`${sandbox.host}/${repository}`, flags);
      told.push(findings.find(({check}) => check === 'location')?.finding ?? '');
    }
    expect(told).toEqual([
      'uploads have relative addresses',
      expect.stringContaining('another scheme'),
      expect.stringContaining('another port'),
      expect.stringMatching(/another host|uploads\.test/),
    ]);
  });

  test('reports scopes and lifetime of a token, but not the token', async () => {
    const everything = [{repository: '**', actions: ['*']}] as const;
    const users = [{name: 'ada', password: 'ada-password', grants: everything}];
    await using guarded = await startSandbox({auth: {kind: 'token', users, tokenLifeSeconds: 30}});
    await storeImage(guarded.storage, repository, 'v1', [Buffer.from('a layer')]);
    const env = {
      TRANSSHIP_DESTINATION_USERNAME: 'ada',
      TRANSSHIP_DESTINATION_PASSWORD: 'ada-password',
    };
    const flags = ['--write', '--max-body', '1MiB'];
    const found = await doctor(`${guarded.host}/${repository}`, flags, env);
    const told = (check: string) =>
      found.findings.filter((one) => one.check === check).map(({finding}) => finding);
    expect(told('token-life')).toEqual([expect.stringContaining('30 s')]);
    expect(told('token-claims').join()).toMatch(/a JWT: .*repository:test/);
    expect(told('token')).toEqual([
      expect.stringContaining('allows'),
      expect.stringContaining('push'),
    ]);
    expect(JSON.stringify(found.findings)).not.toMatch(/eyJ|ada-password/);
  });

  test('pushes no tag if the registry cannot delete it, and reports that', async () => {
    await storeImage(sandbox.storage, repository, 'v1', [Buffer.from('a layer')]);
    intercept = async ({method}, next) => (method === 'DELETE' ? emptyReply(405) : await next());
    const flags = ['--write', '--max-body', '1MiB'];
    const found = await doctor(`${sandbox.host}/${repository}`, flags);
    const warnings = checksOf(found.findings, 'warn');
    expect([found.code, warnings]).toEqual([0, ['delete-tag', 'left-behind']]);
    expect(await sandbox.storage.manifests.tags(repository)).toEqual(['v1']);
  });

  test('finds manifests that are refused, and a tag that is still listed', async () => {
    await storeImage(sandbox.storage, repository, 'v1', [Buffer.from('a layer')]);
    let trial = '';
    intercept = async (exchange, next) => {
      const {method, route, path} = exchange;
      trial = /transship-doctor-[0-9a-f]+$/.exec(path)?.[0] ?? trial;
      if (route.kind === 'tags' && trial !== '') return jsonReply(200, {tags: ['v1', trial]});
      if (method !== 'PUT' || route.kind !== 'manifest') return await next();
      const parts: Uint8Array[] = [];
      for await (const part of exchange.body) parts.push(Uint8Array.from(part));
      const bytes = Buffer.concat(parts);
      exchange.body = Readable.from([bytes]);
      return bytes.includes('vnd.transship') ? emptyReply(400) : await next();
    };
    const flags = ['--write', '--max-body', '1MiB'];
    const found = await doctor(`${sandbox.host}/${repository}`, flags);
    expect(found.code).toBe(1);
    expect(checksOf(found.findings, 'warn')).toEqual(['manifests']);
    expect(checksOf(found.findings, 'fail')).toEqual(['delete-tag']);
    const markdown = await transship(['doctor', sandbox.host, '--format', 'markdown']);
    expect(markdown.stdout).toMatch(/\| registry \| auth \| token life \|/);
  });

  test('finds ranges that are ignored, refused and garbled', async () => {
    await storeImage(sandbox.storage, repository, 'v1', [Buffer.from('a layer')]);
    const outcomes: string[] = [];
    for (const status of [200, 416, 206]) {
      intercept = async (exchange, next) => {
        const isPart = exchange.path.includes('/blobs/') && exchange.headers.range === 'bytes=1-1';
        if (!isPart) return await next();
        const body = Buffer.from('xyz');
        return {
          status,
          headers: {
            'content-length': '3',
            ...(status === 206 ? {'content-range': 'bytes 0-2/9'} : {}),
          },
          body,
        };
      };
      const {findings} = await doctor(`${sandbox.host}/${repository}`);
      outcomes.push(findings.find(({check}) => check === 'ranges')?.finding ?? '');
    }
    expect(outcomes).toEqual([
      expect.stringContaining('all of it'),
      expect.stringContaining('416'),
      expect.stringContaining('another part'),
    ]);
  });

  test('finds images of Docker schema 1 behind any of the first tags', async () => {
    for (const tag of ['v1', 'v2', 'v3'])
      await storeImage(sandbox.storage, repository, tag, [Buffer.from(tag)]);
    const place = `${sandbox.host}/${repository}`;
    expect((await doctor(place)).of('schema1')).toEqual(['pass']);
    intercept = async ({method, path}, next) => {
      const reply = await next();
      if (method !== 'HEAD' || !path.endsWith('/manifests/v2')) return reply;
      const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
      return {...reply, headers: {...reply.headers, 'content-type': type}};
    };
    const found = await doctor(place);
    const told = found.findings.find(({check}) => check === 'schema1');
    expect(told).toMatchObject({result: 'warn', finding: 'images of Docker schema 1: v2'});
  });

  test('finds clocks that differ, and a host that is not there', async () => {
    intercept = async (_, next) => {
      const reply = await next();
      const date = new Date(Date.now() + 5 * 60_000).toUTCString();
      return {...reply, headers: {...reply.headers, date}};
    };
    const skewed = await doctor(sandbox.host);
    expect([skewed.code, skewed.of('clock')]).toEqual([1, ['fail']]);
    intercept = () =>
      Promise.resolve({
        status: 200,
        headers: {'content-type': 'text/html', 'content-length': '14'},
        body: Buffer.from('<html>x</html>'),
      });
    const page = await doctor(sandbox.host);
    expect([page.code, page.of('login')]).toEqual([1, ['fail']]);
    intercept = (_, next) => next();
    const nowhere = await doctor('registry.invalid');
    expect([nowhere.code, nowhere.of('name')]).toEqual([1, ['fail']]);
    const markdown = await transship(['doctor', sandbox.host, '--format', 'markdown']);
    expect(markdown.stdout).toMatch(/\| pass \| `clock` \| \d+ s/);
  });

  test('examines the certificate, whether it is trusted or not', async () => {
    await using tls = await testAuthority();
    const {cert, key} = tls.server;
    const server = createServer({cert, key}, (_, response) => {
      response.writeHead(200, {'docker-distribution-api-version': 'registry/2.0'}).end('{}');
    });
    server.on('tlsClientError', () => undefined);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const host = `localhost:${(server.address() as AddressInfo).port}`;
    const unknown = await doctor(host);
    expect([unknown.code, unknown.of('tls')]).toEqual([1, ['fail']]);
    const trusted = await doctor(host, ['--ca-file', tls.authority.certFile]);
    // It is valid for a day.
    expect([trusted.code, trusted.of('tls')]).toEqual([0, ['warn']]);
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });

  test('wants a host, and a repository to write to', async () => {
    expect((await transship(['doctor', 'nothing'])).code).toBe(64);
    const run = await transship(['doctor', sandbox.host, '--write']);
    expect([run.code, run.stderr.includes('--write needs a repository')]).toEqual([64, true]);
  });
});
