import {mkdir, readdir, readFile, writeFile} from 'node:fs/promises';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import type {Exchange, Intercept, Reply} from '../../src/sandbox/exchange.ts';
import {loadLayout} from '../../src/sandbox/load-layout.ts';
import {type AuthOptions, type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {answering, credentialHelpers} from '../support/credential-helper.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {sendError, sendJson, startHttpServer} from '../support/http-server.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {startTokenRegistry} from '../support/token-registry.ts';
import {transship} from '../support/transship.ts';

/** With characters that URLs, JSON and headers write in other ways. */
const SECRET = 'hunter2/"§ +&=secret';
const USER = 'ada';
/** Nobody listens there. */
const NOWHERE = '127.0.0.1:1';
let temp: TempDirectory;
/** All that was printed. */
let said = '';
/** Secrets that came to light on the way, such as tokens. */
let learned: Set<string>;

beforeEach(async () => {
  temp = await tempDirectory();
  await mkdir(temp.join('home'));
  said = '';
  learned = new Set();
});
afterEach(() => temp[Symbol.asyncDispose]());

/** Runs a command with all that it could tell, and keeps what it says. */
async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const result = await transship([...args, '--debug'], {home: temp.join('home'), env});
  said += result.stdout + result.stderr;
  return result;
}

/** The forms of the secrets that were found in what was said and in each file below the home. */
async function found(): Promise<readonly string[]> {
  const texts: [string, string][] = [['output', said]];
  for (const entry of await readdir(temp.join('home'), {recursive: true, withFileTypes: true})) {
    if (!entry.isFile()) continue;
    const path = `${entry.parentPath}/${entry.name}`;
    texts.push([path, await readFile(path, 'utf8')]);
  }
  return texts.flatMap(([where, text]) =>
    [SECRET, ...learned].flatMap(formsOf).flatMap((form) => {
      return text.includes(form) ? [`${where}: ${form}`] : [];
    }),
  );
}

function formsOf(secret: string): readonly string[] {
  return [
    secret,
    basic(secret),
    Buffer.from(secret).toString('base64'),
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
  ];
}

function basic(secret = SECRET): string {
  return Buffer.from(`${USER}:${secret}`).toString('base64');
}

/** Learns what the client shows. */
const listen: Intercept = async ({headers}, next) => {
  const [, shown] = headers.authorization?.split(' ') ?? [];
  if (shown !== undefined) learned.add(shown);
  return next();
};

const everything = [{repository: '**', actions: ['*']}] as const;
const users = [{name: USER, password: SECRET, grants: everything}];
const token: AuthOptions = {kind: 'token', users};

async function authFile(content: unknown): Promise<string> {
  const file = temp.join('auth.json');
  await writeFile(file, JSON.stringify(content));
  return file;
}

async function withContent(sandbox: Sandbox): Promise<Sandbox> {
  await loadLayout(sandbox.storage, layoutDirectory('helm'), 'in' as RepositoryPath);
  return sandbox;
}

test('a complete run, with a password from a file and one from the environment', async () => {
  await using source = await withContent(await startSandbox({auth: token, intercept: listen}));
  await using target = await startSandbox({auth: {kind: 'basic', users}, intercept: listen});
  const file = await authFile({auths: {[source.host]: {auth: basic()}}});
  const env = {TRANSSHIP_DESTINATION_USERNAME: USER, TRANSSHIP_DESTINATION_PASSWORD: SECRET};
  const plan = temp.join('home', 'p.plan.json');
  const places = [`${source.host}/in`, `${target.host}/out`];
  const flags = ['--authfile', file];

  expect((await run(['plan', 'copy', ...places, '--out', plan, ...flags], env)).code).toBe(0);
  expect((await run(['apply', plan, '--progress', 'json', ...flags], env)).code).toBe(0);
  expect((await run(['verify', plan, ...flags], env)).code).toBe(0);
  for (const format of ['text', 'json', 'markdown', 'html'])
    expect((await run(['show', plan, '--format', format], env)).code).toBe(0);
  expect((await run(['status', plan], env)).code).toBe(0);
  expect((await run(['copy', ...places, ...flags], env)).code).toBe(0);

  expect(learned.size).toBeGreaterThan(1);
  expect(await found()).toEqual([]);
});

test('a registry that repeats what it was shown', async () => {
  await using server = await startHttpServer(({url, headers}, response) => {
    const shown = headers.authorization?.split(' ')[1];
    if (shown === undefined) {
      sendError(response, 401, 'UNAUTHORIZED', {'www-authenticate': 'Basic realm="r"'});
      return;
    }
    asked.push(url.pathname);
    const message = `${shown} is not enough, nor is ${SECRET}`;
    sendJson(response, 403, {errors: [{code: 'DENIED', message}]});
  });
  const asked: string[] = [];
  for (const login of [{auth: basic()}, {username: USER, password: SECRET}]) {
    const flags = ['--authfile', await authFile({auths: {[server.host]: login}})];
    expect((await run(['copy', `${server.host}/a`, `${NOWHERE}/b`, ...flags])).code).toBe(1);
  }
  expect(asked).toHaveLength(2);
  expect(said).toContain('*** is not enough, nor is ***');
  expect(await found()).toEqual([]);
});

test('a credential helper, also one that fails with its secret in its message', async () => {
  await using helpers = await credentialHelpers();
  await helpers.add('good', answering(USER, SECRET));
  await helpers.add('bad', `printf '%s' '{"Username": "a", "Secret": "${SECRET}' ; exit 1`);
  await using source = await startSandbox({auth: {kind: 'basic', users: []}, intercept: listen});
  for (const credsStore of ['good', 'bad']) {
    const flags = ['--authfile', await authFile({credsStore})];
    const places = [`${source.host}/in`, `${NOWHERE}/out`];
    expect((await run(['copy', ...places, ...flags], {PATH: helpers.path})).code).toBe(1);
  }
  expect(learned.size).toBe(1);
  expect(await found()).toEqual([]);
});

test('an identity token', async () => {
  await using registry = await startTokenRegistry({
    token: () => ({token: undefined, access_token: 'access-secret-1'}),
    answer: (_request, response) => sendError(response, 403, `DENIED ${SECRET} access-secret-1`),
  });
  learned.add('access-secret-1');
  const {host} = registry.registry;
  const flags = ['--authfile', await authFile({auths: {[host]: {identitytoken: SECRET}}})];
  expect((await run(['copy', `${host}/a`, `${NOWHERE}/b`, ...flags])).code).toBe(1);
  expect(registry.service.requests.map(({body}) => body.toString()).join()).toContain('hunter2');
  expect(await found()).toEqual([]);
});

test('the password of a proxy', async () => {
  await using proxy = await startHttpServer((_request, response) =>
    sendError(response, 407, 'PROXY'),
  );
  const url = `http://${USER}:${encodeURIComponent(SECRET)}@${proxy.host}`;
  for (const name of ['HTTPS_PROXY', 'HTTP_PROXY', 'ALL_PROXY']) {
    const args = ['copy', 'registry.test/a', `${NOWHERE}/b`, '--plain-http', 'registry.test'];
    const {code} = await run(name === 'HTTPS_PROXY' ? args.slice(0, 3) : args, {[name]: url});
    expect(code).toBe(1);
  }
  expect(await found()).toEqual([]);
});

test('the signature of a redirect', async () => {
  const signature = 'c2lnbmVkLXVybC1zaWduYXR1cmU';
  learned.add(signature);
  await using storage = await startHttpServer(({target}, response) =>
    sendError(response, 403, `DENIED ${target.length}`),
  );
  await using source = await withContent(
    await startSandbox({
      intercept: async ({route, method}, next) => {
        if (route.kind !== 'blob' || method !== 'GET') return next();
        const location = `${storage.url}/blob?X-Amz-Signature=${signature}&sig=${signature}`;
        return {status: 307, headers: {location, 'content-length': '0'}};
      },
    }),
  );
  await using target = await startSandbox();
  expect((await run(['copy', `${source.host}/in`, `${target.host}/out`])).code).toBe(1);
  expect(storage.requests[0]?.target).toContain(signature);
  expect(await found()).toEqual([]);
});

/** An answer that gives back all that it was shown, and secrets of its own, in its body and in its headers. */
function echo(exchange: Exchange): Reply {
  const shown = exchange.headers.authorization?.split(' ')[1] ?? '';
  if (shown !== '') learned.add(shown);
  const signed = `https://s3.test/b?X-Amz-Credential=${PLANTED}&X-Amz-Signature=${PLANTED}`;
  // What was not shown, nobody can give back.
  const known = shown === '' ? '' : SECRET;
  const message = `${shown} of ${known} is not enough, ask ${signed} or ${JWT} or Bearer ${PLANTED}`;
  return {
    status: 403,
    headers: {location: signed, 'x-token': shown, 'set-cookie': `t=${shown}`, warning: PLANTED},
    body: Buffer.from(JSON.stringify({errors: [{code: 'DENIED', message, detail: {shown}}]})),
  };
}
const PLANTED = 'cGxhbnRlZC1zZWNyZXQ';
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2lnbmF0dXJl';

describe.each([
  ['source', 'GET', 'tags'],
  ['source', 'GET', 'manifest'],
  ['source', 'GET', 'blob'],
  ['source', 'GET', 'referrers'],
  ['destination', 'HEAD', 'manifest'],
  ['destination', 'HEAD', 'blob'],
  ['destination', 'POST', 'uploads'],
  ['destination', 'PATCH', 'upload'],
  ['destination', 'PUT', 'upload'],
  ['destination', 'PUT', 'manifest'],
] as const)('the %s gives back what it was shown, to %s %s', (side, method, kind) => {
  const intercept: Intercept = async (exchange, next) => {
    const isIt = exchange.method === method && exchange.route.kind === kind;
    return isIt ? echo(exchange) : listen(exchange, next);
  };
  test.each(['plan', 'copy'])('in %s', async (how) => {
    for (const secret of [PLANTED, JWT]) learned.add(secret);
    const auth = {auth: token};
    await using source = await withContent(
      await startSandbox({...auth, ...(side === 'source' ? {intercept} : {})}),
    );
    await using target = await startSandbox({...auth, ...(side === 'source' ? {} : {intercept})});
    const login = {auth: basic()};
    const file = await authFile({auths: {[source.host]: login, [target.host]: login}});
    const places = [`${source.host}/in`, `${target.host}/out`];
    const flags = ['--authfile', file, '--progress', 'json'];
    if (how === 'copy') {
      await run(['copy', ...places, ...flags]);
    } else {
      const plan = temp.join('home', 'p.plan.json');
      await run(['plan', 'copy', ...places, '--out', plan, ...flags]);
      await run(['apply', plan, ...flags]);
      await run(['verify', plan, ...flags]);
      await run(['status', plan, '--format', 'json']);
    }
    expect(await found()).toEqual([]);
  });
});

test('an upload whose URL is a permission in itself is not written to the journal', async () => {
  learned.add(PLANTED);
  await using source = await withContent(await startSandbox());
  await using target = await startSandbox({
    intercept: async (exchange, next) => {
      if (exchange.method === 'PUT' && exchange.route.kind === 'upload') return echo(exchange);
      const reply = await next();
      const {location} = reply.headers;
      if (typeof location !== 'string') return reply;
      return {...reply, headers: {...reply.headers, location: `${location}&sig=${PLANTED}`}};
    },
  });
  const journal = temp.join('home', 'j');
  const flags = ['--chunk-size', '4KiB', '--journal', journal];
  await run(['copy', `${source.host}/in`, `${target.host}/out`, ...flags]);
  expect(await readFile(journal, 'utf8')).toContain('"type":"step"');
  expect(await found()).toEqual([]);
});

const INDEX = 'application/vnd.oci.image.index.v1+json';

test('a registry that lists the token as a tag ends the planning', async () => {
  await using server = await startHttpServer(({url, headers}, response) => {
    const shown = headers.authorization?.split(' ')[1];
    const realm = {'www-authenticate': `Bearer realm="${server.url}/token"`};
    if (url.pathname === '/token') sendJson(response, 200, {token: PLANTED});
    else if (shown === undefined) sendError(response, 401, 'UNAUTHORIZED', realm);
    else if (url.pathname.endsWith('/list')) sendJson(response, 200, {name: 'a', tags: [shown]});
    else if (url.pathname.includes('/manifests/'))
      sendJson(
        response,
        200,
        {schemaVersion: 2, mediaType: INDEX, manifests: []},
        {'content-type': INDEX},
      );
    else sendError(response, 404, 'NOT_FOUND');
  });
  learned.add(PLANTED);
  const out = temp.join('home', 'p.plan.json');
  const {code} = await run([
    'plan',
    'copy',
    `${server.host}/a`,
    `oci:${temp.join('to')}`,
    '--out',
    out,
  ]);
  expect(code).toBe(1);
  expect(said).toContain('RESPONSE_INVALID');
  expect(await found()).toEqual([]);
});

test.each([
  `${USER}:${SECRET}@registry.test/app`,
  `docker://${USER}:${SECRET}@registry.test/app:1.0`,
  `https://${USER}:${SECRET}@registry.test/app`,
  `${USER}:${SECRET}@registry.test/app@sha256:${'a'.repeat(64)}`,
  `${USER}:p@ss${SECRET}@registry.test:5000/app`,
])('a reference with a login: %s', async (reference) => {
  for (const places of [
    [reference, `${NOWHERE}/b`],
    [`${NOWHERE}/b`, reference],
  ]) {
    expect((await run(['copy', ...places])).code).toBe(64);
    expect((await run(['plan', 'copy', ...places])).code).toBe(64);
  }
  expect(said).toContain('registry.test');
  expect(await found()).toEqual([]);
});

test('a registry that answers with JSON learns nothing from being listed', async () => {
  await using server = await startHttpServer((_request, response) =>
    sendJson(response, 200, {name: SECRET}),
  );
  const env = {TRANSSHIP_SOURCE_USERNAME: USER, TRANSSHIP_SOURCE_PASSWORD: SECRET};
  await run(['copy', `${server.host}/a:b`, `${NOWHERE}/b`], env);
  expect(await found()).toEqual([]);
});
