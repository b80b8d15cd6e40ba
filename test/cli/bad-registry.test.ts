import type {ServerResponse} from 'node:http';
import {writeFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {DEFAULT_RETRY} from '../../src/http/retry.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {type TestAuthority, testAuthority} from '../support/certificates.ts';
import {credentialHelpers} from '../support/credential-helper.ts';
import {toldError} from '../support/error-lines.ts';
import {sendError, sendJson, startHttpServer} from '../support/http-server.ts';
import {pushImage} from '../support/push-image.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let sandbox: Sandbox;
let authority: TestAuthority;

beforeAll(async () => {
  sandbox = cleanup.use(await startSandbox());
  authority = cleanup.use(await testAuthority());
  await pushImage(sandbox.url, 'good', 'latest');
});
afterAll(() => cleanup.disposeAsync());

const HTML = '<!doctype html><html><head><title>Welcome</title></head></html>';

function page(response: ServerResponse, status: number): void {
  response.writeHead(status, {'content-type': 'text/html; charset=utf-8'}).end(HTML);
}

const refused = (status: number, code: string) => (response: ServerResponse) =>
  sendError(response, status, code, {'retry-after': '0'});

describe.each(['source', 'destination'] as const)('the %s', (side) => {
  const places = (host: string) =>
    side === 'source'
      ? [`${host}/team/app`, `${sandbox.host}/never`]
      : [`${sandbox.host}/good`, `${host}/team/app`];
  const {attempts, attemptsAt500} = DEFAULT_RETRY;

  test.each([
    ['a page', (response: ServerResponse) => page(response, 200), 'NOT_A_REGISTRY', 1],
    ['a page with 404', (response: ServerResponse) => page(response, 404), 'NOT_A_REGISTRY', 1],
    ['401', refused(401, 'UNAUTHORIZED'), 'UNAUTHORIZED', 1],
    ['403', refused(403, 'DENIED'), 'FORBIDDEN', 1],
    ['500', refused(500, 'UNKNOWN'), 'REGISTRY_UNAVAILABLE', attemptsAt500],
    ['503', refused(503, 'UNAVAILABLE'), 'REGISTRY_UNAVAILABLE', attempts],
    ['418', refused(418, 'TEAPOT'), 'REGISTRY_REFUSED', 1],
    [
      'another JSON',
      (response: ServerResponse) => sendJson(response, 200, []),
      'RESPONSE_INVALID',
      1,
    ],
    [
      'a broken answer',
      (response: ServerResponse) => void response.destroy(),
      'CONNECTION_FAILED',
      attempts,
    ],
  ])('answers with %s', async (_what, answer, code, most) => {
    await using server = await startHttpServer(({url}, response) => {
      if (url.pathname === '/v2/') sendJson(response, 200, {});
      else answer(response);
    });
    const error = toldError(await transship(['copy', ...places(server.host)]));
    expect(error).toMatchObject({code, exit: 1, side: `the ${side}`});
    expect(error.message).toContain(server.host);
    const lists = server.requests.filter(({url}) => url.pathname.endsWith('/tags/list'));
    expect(lists).toHaveLength(most);
    expect(server.requests.map(({method}) => method)).not.toContain('POST');
  });

  test('has a certificate for another name', async () => {
    const {cert, key} = authority.otherServer;
    await using server = await startHttpServer((_request, response) => page(response, 200), {
      tls: {cert, key},
    });
    const flags = ['--ca-file', authority.authority.certFile];
    const error = toldError(await transship(['copy', ...places(server.host), ...flags]));
    expect(error).toMatchObject({code: 'TLS_CERTIFICATE', exit: 1, side: `the ${side}`});
    expect(error.hint).toContain('--ca-file');
    expect(server.requests).toEqual([]);
  });

  test('has no such host', async () => {
    const error = toldError(await transship(['copy', ...places('registry.invalid')]));
    expect(error).toMatchObject({code: 'HOST_NOT_FOUND', exit: 1, side: `the ${side}`});
    expect(error.message).toContain('registry.invalid');
  });

  test('does not listen', async () => {
    const closed = await startHttpServer((_request, response) => page(response, 200));
    await closed[Symbol.asyncDispose]();
    const error = toldError(await transship(['copy', ...places(closed.host)]));
    expect(error).toMatchObject({code: 'CONNECTION_FAILED', exit: 1, side: `the ${side}`});
  });
});

/** Refuses so many requests, and passes the others on to the sandbox. */
function refusing(times: number, asking: Record<string, string> = {}) {
  let left = times;
  return startHttpServer(async ({method, target, headers: {accept = '*/*'}}, response) => {
    if (target !== '/v2/' && left-- > 0) return void response.writeHead(429, asking).end();
    const {status, headers, body} = await fetch(`${sandbox.url}${target}`, {
      method,
      headers: {accept},
    });
    response.writeHead(status, Object.fromEntries(headers));
    response.end(body === null ? undefined : Buffer.from(await new Response(body).arrayBuffer()));
  });
}

describe('a registry that wants fewer requests', () => {
  const retry = {...DEFAULT_RETRY, baseMs: 1, capMs: 1, budgetMs: 2000};

  test('without a duration is waited for, and each attempt is reported', async () => {
    await using server = await refusing(8);
    const {code, stderr} = await transship(
      ['copy', `${server.host}/good`, `${sandbox.host}/limited`],
      {retry},
    );
    expect(code).toBe(0);
    expect(
      stderr.match(/^127\.0\.0\.1:\d+ limits requests, next try after \d+ s: .+ answered 429$/gm),
    ).toHaveLength(8);
    expect(stderr).not.toContain('of quiet');
  });

  test('that says for how long is quoted', async () => {
    await using server = await refusing(1, {'retry-after': '1'});
    const places = [`${server.host}/good`, `${sandbox.host}/told`];
    const {code, stderr} = await transship(['copy', ...places], {retry});
    expect(code).toBe(0);
    expect(stderr).toMatch(/^127\.0\.0\.1:\d+ asks for [12] s of quiet: .+ answered 429$/m);
  });

  test('for ever is given up', async () => {
    await using server = await refusing(Infinity);
    const error = toldError(
      await transship(['copy', `${server.host}/good`, `${sandbox.host}/limited`], {retry}),
    );
    expect(error).toMatchObject({code: 'RATE_LIMITED', exit: 1, side: 'the source'});
  });
});

describe('the requested content does not exist', () => {
  test.each([
    ['repository', '/none', 'REPOSITORY_NOT_FOUND', '/none'],
    ['tag', '/good:none', 'TAG_NOT_FOUND', '/good:none'],
    ['tag of no repository', '/none:none', 'TAG_NOT_FOUND', '/none:none'],
    ['digest', `/good@sha256:${'a'.repeat(64)}`, 'MANIFEST_NOT_FOUND', 'aaaa'],
  ])('%s', async (_what, suffix, code, named) => {
    const places = [`${sandbox.host}${suffix}`, `${sandbox.host}/never`];
    const error = toldError(await transship(['copy', ...places]));
    expect(error).toMatchObject({code, exit: 1, side: 'the source'});
    expect(error.message).toContain(named);
  });
});

test('a failing credential helper is named, with its message', async () => {
  await using helpers = await credentialHelpers();
  await helpers.add('broken', 'echo "the keyring is locked" >&2; exit 3');
  await using temp = await tempDirectory();
  const authFile = temp.join('auth.json');
  await writeFile(authFile, JSON.stringify({credsStore: 'broken'}));
  await using server = await startSandbox({auth: {kind: 'basic', users: []}});
  const args = ['copy', `${server.host}/a`, `${sandbox.host}/b`, '--authfile', authFile];
  const error = toldError(await transship(args, {env: {PATH: helpers.path}}));
  expect(error).toMatchObject({code: 'CREDENTIAL_HELPER_FAILED', exit: 1, side: 'this machine'});
  expect(error.message).toContain('docker-credential-broken');
  expect(error.message).toContain('the keyring is locked');
});

/** The error of a copy to a path of GitLab's registry. */
async function copyToGitLab(path: string, login: Record<string, string>) {
  await using rig = await startRig();
  const answer = await fetch(`${rig.url}/api/v4/projects/org%2Fbuild%2Fapp`, {
    headers: {'private-token': 'ada-api'},
  });
  const {container_registry_image_prefix: prefix} = (await answer.json()) as {
    readonly container_registry_image_prefix: string;
  };
  const [registry] = prefix.split('/');
  const args = ['copy', `${sandbox.host}/good`, `${registry}/${path}`];
  return toldError(await transship(args, {env: login}));
}

describe('a path to which GitLab gives no access', () => {
  const LOGIN = {
    TRANSSHIP_DESTINATION_USERNAME: 'ada',
    TRANSSHIP_DESTINATION_PASSWORD: 'ada-password',
  };

  test.each(['org/build/app/a/b/c', 'org/build/nowhere/app', 'org/build'])(
    '%s: a valid login is not taken for a bad one',
    async (path) => {
      const error = await copyToGitLab(path, LOGIN);
      expect(error).toMatchObject({code: 'FORBIDDEN', exit: 1, side: 'the destination'});
      expect(error.hint).toContain('the login is valid');
      expect(error.hint).toContain('project');
      expect(error.hint).not.toContain('docker login');
    },
  );

  test('without a login is to be logged in to', async () => {
    const error = await copyToGitLab('org/build/app', {});
    expect(error).toMatchObject({code: 'UNAUTHORIZED', side: 'the destination'});
    expect(error.hint).toContain('docker login');
  });
});
