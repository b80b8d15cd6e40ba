import {execFile} from 'node:child_process';
import {constants, mkdir, open, readFile, symlink, truncate, writeFile} from 'node:fs/promises';
import {promisify} from 'node:util';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {toldError} from '../support/error-lines.ts';
import {type HttpServer, sendError, startHttpServer} from '../support/http-server.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

let temp: TempDirectory;
/** Asks for a login. */
let registry: HttpServer;
beforeEach(async () => {
  temp = await tempDirectory();
  registry = await startHttpServer((_request, response) =>
    sendError(response, 401, 'UNAUTHORIZED', {'www-authenticate': 'Basic realm="r"'}),
  );
  await mkdir(temp.join('layout'));
  await writeFile(temp.join('layout', 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(temp.join('layout', 'index.json'), '{"schemaVersion":2,"manifests":[]}');
});
afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await temp[Symbol.asyncDispose]();
});

/** The commands that read a file of somebody else's, with the code that they end with where it cannot be read. */
const READERS: readonly (readonly [string, string, (file: string) => readonly string[]])[] = [
  ['a plan', 'FILE_UNREADABLE', () => ['show', temp.join('file')]],
  ['a plan to apply', 'FILE_UNREADABLE', () => ['apply', temp.join('file')]],
  ['an archive', 'FILE_INVALID', () => ['copy', `oci-archive:${temp.join('file')}`, 'oci:x']],
  [
    'a credentials file',
    'CREDENTIALS_INVALID',
    () => ['copy', `${registry.host}/a:b`, 'oci:x', '--authfile', temp.join('file')],
  ],
  [
    'an authority',
    'TLS_FILE_INVALID',
    () => ['copy', 'r.test/a:b', 'oci:x', '--ca-file', temp.join('file')],
  ],
  ['faults', 'FILE_UNREADABLE', () => ['sandbox', '--port', '0', '--faults', temp.join('file')]],
];

describe.each(READERS)('%s', (_, code, command) => {
  test.each(['a pipe', 'a device', 'a directory'])('is not %s', async (kind) => {
    const file = temp.join('file');
    if (kind === 'a pipe') await promisify(execFile)('mkfifo', [file]);
    else if (kind === 'a device') await symlink('/dev/zero', file);
    else await mkdir(file);
    expect(toldError(await transship(command(file)))).toMatchObject({code, exit: 64});
  });
});

/** An archive may be of any size. */
const SMALL = READERS.filter(([what]) => what !== 'an archive');

describe.each(SMALL)('%s', (_, code, command) => {
  test('is not a file of a gigabyte', async () => {
    const file = temp.join('file');
    await writeFile(file, '');
    await truncate(file, 2 ** 30);
    const before = process.memoryUsage().rss;
    expect(toldError(await transship(command(file)))).toMatchObject({code, exit: 64});
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 27);
  });
});

describe.each(['oci-layout', 'index.json'])('%s of a layout', (name) => {
  test.each(['mkfifo', '/dev/zero'])('is a file, not %s', async (kind) => {
    await mkdir(temp.join('other'));
    for (const one of ['oci-layout', 'index.json']) {
      const file = temp.join('other', one);
      if (one !== name) await symlink(temp.join('layout', one), file);
      else if (kind === 'mkfifo') await promisify(execFile)('mkfifo', [file]);
      else await symlink(kind, file);
    }
    const run = await transship(['copy', `oci:${temp.join('other')}`, '127.0.0.1:1/a']);
    expect(toldError(run)).toMatchObject({code: 'FILE_INVALID', exit: 64});
  });
});

describe('a plan that is JSON', () => {
  test.each([
    ['nested a million levels deep', () => `${'['.repeat(1e6)}${']'.repeat(1e6)}`],
    [
      'with three million numbers',
      () => `{"format":2,"kind":"copy","steps":[${'0,'.repeat(3e6)}0]}`,
    ],
    [
      'with a million wrong steps',
      () => `{"format":2,"kind":"copy","steps":[${'{},'.repeat(5e5)}{}]}`,
    ],
    [
      'with half a million unknown fields',
      () =>
        `{"format":2,"kind":"copy"${Array.from({length: 5e5}, (_, at) => `,"${at}":0`).join('')}}`,
    ],
  ])('%s is reported briefly', async (_, content) => {
    const file = temp.join('p.json');
    await writeFile(file, content());
    const run = await transship(['show', file]);
    expect(toldError(run)).toMatchObject({code: 'PLAN_INVALID', exit: 64});
    expect(run.stderr.length).toBeLessThan(2000);
  });
});

test('a journal is a file', async () => {
  const source = 'fixtures/layouts/busybox';
  const plan = temp.join('p.json');
  await transship(['plan', 'copy', `oci:${source}`, `oci:${temp.join('x')}`, '--out', plan]);
  const run = await transship(['status', plan, '--journal', '/dev/zero']);
  expect(toldError(run)).toMatchObject({code: 'JOURNAL_INVALID', exit: 64});
});

test('a journal has a bounded number of entries', async () => {
  const [plan, journal] = [temp.join('p.json'), temp.join('j')];
  await transship([
    'plan',
    'copy',
    `oci:${temp.join('layout')}`,
    `oci:${temp.join('x')}`,
    '--out',
    plan,
  ]);
  await writeFile(journal, '{"type":"rollback"}\n'.repeat(600_000));
  const run = await transship(['status', plan, '--journal', journal]);
  expect(toldError(run)).toMatchObject({code: 'JOURNAL_INVALID', exit: 64});
});

test.each(['mkfifo', '/dev/zero'])(
  'the list of transfers has files, and %s is none',
  async (kind) => {
    const [plan, home] = [temp.join('p.json'), temp.join('home')];
    const list = temp.join('home', '.local', 'state', 'transship', 'transfers');
    await mkdir(list, {recursive: true});
    const entry = `${list}/${'0'.repeat(64)}`;
    if (kind === 'mkfifo') await promisify(execFile)(kind, [entry]);
    else await symlink(kind, entry);
    const places = [`oci:${temp.join('layout')}`, `oci:${temp.join('x')}`];
    expect(await transship(['plan', 'copy', ...places, '--out', plan], {home})).toMatchObject({
      code: 0,
    });
    expect(await transship(['status', plan], {home})).toMatchObject({code: 0});
  },
);

test('a journal is no link, which would have another file written', async () => {
  const [plan, victim, journal] = [temp.join('p.json'), temp.join('victim'), temp.join('j')];
  const places = ['oci:fixtures/layouts/busybox', `oci:${temp.join('x')}`];
  await transship(['plan', 'copy', ...places, '--out', plan]);
  await writeFile(victim, 'mine\nhalf a line');
  await symlink(victim, journal);
  for (const command of [
    ['apply', plan],
    ['status', plan],
    ['copy', ...places],
  ]) {
    const error = toldError(await transship([...command, '--journal', journal]));
    expect(error).toMatchObject({code: 'JOURNAL_INVALID', exit: 64});
    expect(error.message).toContain('is a symbolic link');
  }
  expect(await readFile(victim, 'utf8')).toBe('mine\nhalf a line');
});

function planWithToken(pipe: string) {
  const wish = `plan transfer a/b --to c/ --gitlab ${registry.url} --token-file ${pipe}`;
  return transship(wish.split(' '));
}

describe('a token from a pipe', () => {
  test('may be written a few bytes at a time', async () => {
    const pipe = temp.join('pipe');
    await promisify(execFile)('mkfifo', [pipe]);
    // Keeps what is written until it is read, however late that is.
    const keeper = await open(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    const writer = await open(pipe, 'w');
    const running = planWithToken(pipe);
    for (const part of ['glpat', '-in-', 'parts\n']) await writer.write(part);
    await writer.close();
    await running;
    await keeper.close();
    expect(registry.requests[0]?.headers['private-token']).toBe('glpat-in-parts');
  });

  test('is no more than a few bytes', async () => {
    const pipe = temp.join('pipe');
    await promisify(execFile)('mkfifo', [pipe]);
    const writer = await open(pipe, 'r+');
    const before = process.memoryUsage().rss;
    const running = planWithToken(pipe);
    for (let at = 0; at < 5; at++) await writer.write('x'.repeat(1000));
    expect(toldError(await running)).toMatchObject({code: 'FILE_UNREADABLE', exit: 64});
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 27);
    await writer.close();
  });

  test('does not block the command if it has no writer', async () => {
    const pipe = temp.join('pipe');
    await promisify(execFile)('mkfifo', [pipe]);
    expect(toldError(await planWithToken(pipe))).toMatchObject({code: 'USAGE', exit: 64});
  });
});
