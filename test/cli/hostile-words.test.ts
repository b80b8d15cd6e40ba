import {chmod, readFile, writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {bytesReply} from '../../src/sandbox/exchange.ts';
import type {CopyPlan} from '../../src/model/plan.ts';
import {identified} from '../support/plan-files.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {sendError, sendJson, startHttpServer} from '../support/http-server.ts';
import {pushImage} from '../support/push-image.ts';
import {tempDirectory} from '../support/temp.ts';
import {startTokenRegistry} from '../support/token-registry.ts';
import {transship} from '../support/transship.ts';

/**
 * A change of direction, a C1 control that begins an escape sequence, a byte order mark; and what is not seen: a tag
 * character, a separator of annotations, a vowel separator, a filler.
 */
const HOSTILE = 'a\u202eb\u009b31mc\ufeffd\u{e0041}e\ufff9f\u180eg\u3164';
/** All but line breaks. */
const UNSEEN =
  /(?!\n)[\p{Cc}\u00ad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\u3164\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;

test.each(['json', 'plain'])(
  'the words of a registry are harmless with --progress %s',
  async (kind) => {
    await using registry = await startHttpServer((_request, response) =>
      sendJson(response, 403, {errors: [{code: 'DENIED', message: HOSTILE}]}),
    );
    const run = await transship(['copy', `${registry.host}/a:b`, 'oci:x', '--progress', kind]);
    expect(run).toMatchObject({code: 1});
    expect(run.stderr).not.toMatch(UNSEEN);
  },
);

test('JSON says the same as without escapes', async () => {
  const tags = Buffer.from(JSON.stringify({name: 'a', tags: ['good', HOSTILE]}));
  await using registry = await startSandbox({
    intercept: async ({route}, next) =>
      route.kind === 'tags' ? bytesReply(200, tags, {'content-type': 'application/json'}) : next(),
  });
  await pushImage(registry.url, 'a', 'good');
  const {stdout} = await transship([
    'plan',
    'copy',
    `${registry.host}/a`,
    'oci:x',
    '--format',
    'json',
  ]);
  expect(stdout).toContain('\\u202e');
  const {skipped} = JSON.parse(stdout) as CopyPlan;
  expect(skipped).toContainEqual(expect.objectContaining({tag: HOSTILE}));
});

test('a tag that a plan leaves out is harmless in each format', async () => {
  await using registry = await startHttpServer(({url}, response) => {
    if (url.pathname.endsWith('/list')) sendJson(response, 200, {name: 'a', tags: [HOSTILE]});
    else sendError(response, 404, 'NOT_FOUND');
  });
  for (const format of ['text', 'json', 'markdown', 'html']) {
    const run = await transship([
      'plan',
      'copy',
      `${registry.host}/a`,
      'oci:x',
      '--format',
      format,
    ]);
    expect(run.stdout + run.stderr).not.toMatch(UNSEEN);
  }
});

test('a plan file and a journal are harmless to who reads them', async () => {
  await using temp = await tempDirectory();
  const tags = Buffer.from(JSON.stringify({name: 'a', tags: ['good', HOSTILE]}));
  const refusal = Buffer.from(JSON.stringify({errors: [{code: 'DENIED', message: HOSTILE}]}));
  await using registry = await startSandbox({
    intercept: async ({route, method}, next) => {
      const json = {'content-type': 'application/json'};
      if (route.kind === 'tags') return bytesReply(200, tags, json);
      return method === 'POST' && route.kind === 'uploads'
        ? bytesReply(403, refusal, json)
        : next();
    },
  });
  await using source = await startSandbox({
    intercept: async ({route}, next) =>
      route.kind === 'tags' ? bytesReply(200, tags, {'content-type': 'application/json'}) : next(),
  });
  await pushImage(source.url, 'a', 'good');
  const file = temp.join('p.json');
  await transship(['plan', 'copy', `${source.host}/a`, `${registry.host}/a`, '--out', file]);
  expect(await transship(['apply', file, '--journal', temp.join('j')])).toMatchObject({code: 1});
  const [plan, journal] = [await readFile(file, 'utf8'), await readFile(temp.join('j'), 'utf8')];
  expect(plan).toContain('\\u202e');
  expect(journal).toContain('DENIED');
  expect(plan + journal).not.toMatch(UNSEEN);
});

test('the id of a step is printable', async () => {
  await using temp = await tempDirectory();
  const file = temp.join('p.json');
  const wish = ['plan', 'copy', `oci:${layoutDirectory('busybox')}`, `oci:${temp.join('x')}`];
  await transship([...wish, '--out', file]);
  const plan = JSON.parse(await readFile(file, 'utf8')) as {readonly repositories: string[]};
  const repositories = plan.repositories.map((name) => `${name}${HOSTILE}`);
  await writeFile(file, JSON.stringify(identified({...plan, repositories})));
  for (const command of ['show', 'apply', 'status'])
    expect(toldError(await transship([command, file]))).toMatchObject({
      code: 'PLAN_INVALID',
      exit: 64,
    });
});

test('an address in an error is no link in Markdown', async () => {
  const message = 'see https://evil.test/x or www.evil.test or a@evil.test';
  await using target = await startSandbox({
    intercept: async ({route}, next) =>
      route.kind === 'uploads'
        ? {
            status: 403,
            headers: {},
            body: Buffer.from(JSON.stringify({errors: [{code: 'DENIED', message}]})),
          }
        : next(),
  });
  const image = `oci:${layoutDirectory('busybox')}:1.35-amd64`;
  const {stdout} = await transship(['copy', image, `${target.host}/a`, '--format', 'markdown']);
  expect(stdout).toContain('`https://evil.test/x`');
  expect(stdout.replaceAll(/`[^`]*`/g, '')).not.toContain('evil.test');
});

test.each(['a\r\nX-Evil: 1', 'a\nb', 'a b', ''])('a token %j is no token', async (token) => {
  await using registry = await startTokenRegistry({
    token: () => ({token}),
    answer: (_request, response) => sendError(response, 404, 'NOT_FOUND'),
  });
  const run = await transship([
    'copy',
    `${registry.registry.host}/a:b`,
    'oci:x',
    '--progress',
    'none',
  ]);
  expect(toldError(run)).toMatchObject({code: 'RESPONSE_INVALID', exit: 1});
  expect(registry.service.requests).toHaveLength(1);
});

test.each([
  [0o600, undefined],
  [0o644, 'read'],
  [0o666, 'change'],
])('a token file with the mode %o', async (mode, may) => {
  await using rig = await startRig();
  await using temp = await tempDirectory();
  await writeFile(temp.join('token'), 'ada-api');
  await chmod(temp.join('token'), mode);
  const wish = `plan transfer org/build/app --to new_org/build/ --gitlab ${rig.url} --progress json`;
  const run = await transship([...wish.split(' '), '--token-file', temp.join('token')]);
  expect(run.stderr.includes('TOKEN_FILE_OPEN')).toBe(may !== undefined);
  expect(run.stderr).toContain(may === undefined ? '' : `can ${may}`);
});

test('what a server says at length is not quoted at length', async () => {
  const realm = 'x'.repeat(50_000);
  await using registry = await startHttpServer((_request, response) =>
    sendError(response, 401, 'UNAUTHORIZED', {'www-authenticate': `Bearer realm="${realm}"`}),
  );
  const run = await transship(['copy', `${registry.host}/a:b`, 'oci:x']);
  expect(toldError(run).message).toContain('is not a URL');
  expect(run.stderr.length).toBeLessThan(2000);
});

test('the name of a plan file is harmless, also to a shell that gets the next command', async () => {
  await using temp = await tempDirectory();
  const from = `oci:${layoutDirectory('helm')}`;
  const plan = ['plan', 'copy', from, `oci:${temp.join('to')}`, '--out'];
  const shown = await transship([...plan, temp.join(`${HOSTILE}.json`)]);
  expect(shown.code).toBe(0);
  expect(shown.stdout).not.toMatch(UNSEEN);
  const file = temp.join("x; touch it's.json");
  const quoted = `'${file.replace("'", `'\\''`)}'`;
  expect((await transship([...plan, file])).stdout).toContain(`transship apply ${quoted}\n`);
});
