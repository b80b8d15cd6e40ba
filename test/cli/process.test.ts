import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {RunEvent} from '../../src/model/event.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {loadLayout} from '../../src/sandbox/load-layout.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {MAIN, runCli} from '../support/cli.ts';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {runProgram} from '../support/program.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const COMMANDS = ['copy', 'plan copy', 'show', 'apply', 'verify', 'status', 'sandbox'];
const cleanup = new AsyncDisposableStack();
let sandbox: Sandbox;
let temp: TempDirectory;

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  sandbox = cleanup.use(await startSandbox());
  await loadLayout(sandbox.storage, layoutDirectory('layered'), 'in' as RepositoryPath);
});
afterAll(() => cleanup.disposeAsync());

describe('help', () => {
  test('of the program names every command and the exit codes', async () => {
    const {code, stdout, stderr} = await transship(['--help']);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    for (const command of COMMANDS) expect(stdout).toContain(`  ${command.split(' ')[0]} `);
    expect(stdout).toMatch(/Exit codes: 0 .*130/s);
  });

  test.each(COMMANDS)('of %s has an example that is a command line', async (command) => {
    const {code, stdout, stderr} = await transship([...command.split(' '), '--help']);
    expect({code, stderr}).toEqual({code: 0, stderr: ''});
    expect(stdout).toMatch(new RegExp(`Examples?:\n  transship ${command} ?`));
  });
});

describe('the process', () => {
  test('prints its version', async () => {
    const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
    const {version} = JSON.parse(text) as {version: string};
    const run = await runCli(['--version']);
    expect(run).toMatchObject({code: 0, stderr: ''});
    expect(run.stdout).toMatch(
      new RegExp(`^${version} \\(Node \\d+\\.\\d+\\.\\d+, \\w+-\\w+\\)\\n$`),
    );
  });

  test('caches compiled code for the next run, in the user’s cache directory', async () => {
    const env = {HOME: temp.path, XDG_CACHE_HOME: temp.join('cache')};
    const first = await runProgram(process.execPath, [MAIN, '--version'], {env});
    expect(first).toMatchObject({code: 0, stderr: ''});
    const next = await runProgram(process.execPath, [MAIN, '--version'], {
      env: {...env, NODE_DEBUG_NATIVE: 'COMPILE_CACHE'},
    });
    const told = `${next.stdout}${next.stderr}`;
    expect(told).toContain(`reading cache from ${temp.join('cache', 'transship')}`);
    expect(told).toMatch(/\/start-[\w-]+\.cjs was accepted/);
  });

  test('does without where nothing can be kept', async () => {
    const env = {HOME: temp.path, XDG_CACHE_HOME: '/dev/null'};
    const run = await runProgram(process.execPath, [MAIN, '--version'], {env});
    expect(run).toMatchObject({code: 0, stderr: ''});
  });

  test('does not end as if it were done if nothing is left to wait for', async () => {
    const waitForEver = `import files from 'node:fs/promises';
      import {syncBuiltinESMExports} from 'node:module';
      files.open = () => new Promise(() => {});
      syncBuiltinESMExports();`;
    const preload = `data:text/javascript,${encodeURIComponent(waitForEver)}`;
    const args = ['--import', preload, MAIN, 'show', 'any.plan.json'];
    const run = await runProgram(process.execPath, args, {env: {HOME: temp.path}});
    expect(run.stdout).toBe('');
    expect(toldError(run)).toMatchObject({code: 'INTERNAL', exit: 1});
  });

  test('reports an unknown command in three lines', async () => {
    expect(toldError(await runCli(['--debug-all']))).toMatchObject({code: 'USAGE', exit: 64});
  });

  test('accepts that the reader of its output ends', async () => {
    const file = temp.join('closed.plan.json');
    const places = [`${sandbox.host}/in`, `${sandbox.host}/closed`];
    await transship(['plan', 'copy', ...places, '--out', file]);
    const script = `{ "$0" "$@"; echo "exit $?" >&2; } | head -n 1`;
    const args = [MAIN, 'show', file, '--all', '--format', 'json'];
    const env = {HOME: temp.path};
    const run = await runProgram('sh', ['-c', script, process.execPath, ...args], {env});
    expect(run).toEqual({code: 0, stdout: '{\n', stderr: 'exit 0\n'});
  });

  test('stops if the disk is full, and resumes when there is space', async () => {
    const file = temp.join('full.plan.json');
    const places = [`${sandbox.host}/in`, `${sandbox.host}/full`];
    await transship(['plan', 'copy', ...places, '--out', file]);
    // A limit on the size of files fails in the midst of a line, as a full disk does.
    const script = `trap '' XFSZ; ulimit -f 1; exec "$0" "$@"`;
    const full = await runProgram('sh', ['-c', script, process.execPath, MAIN, 'apply', file], {
      env: {HOME: temp.path},
    });
    const error = toldError(full);
    expect(error).toMatchObject({code: 'JOURNAL_WRITE_FAILED', exit: 1, side: 'this machine'});
    expect(error.message).toContain(temp.join('full.journal.ndjson'));

    expect((await transship(['apply', file])).code).toBe(0);
    expect((await transship(['verify', file])).code).toBe(0);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('is interrupted by %s with 130', async (signal) => {
    const waiting = Promise.withResolvers<void>();
    await using slow = await startSandbox({
      intercept: async (exchange, next) => {
        waiting.resolve();
        await once(exchange.signal, 'abort');
        return next();
      },
    });
    const args = ['plan', 'copy', `${slow.host}/a`, `${slow.host}/b`];
    const run = await runCli(args, {
      onStart: ({kill}) => void waiting.promise.then(() => kill(signal)),
    });
    expect(toldError(run)).toMatchObject({code: 'INTERRUPTED', exit: 130});
  });
});

test.runIf(process.platform === 'linux')(
  'output that is lost on a full disk is a failure',
  async () => {
    const script = 'exec "$0" "$1" explain FILE_INVALID > /dev/full';
    const run = await runProgram('sh', ['-c', script, process.execPath, MAIN]);
    expect(toldError(run)).toMatchObject({code: 'FILE_WRITE_FAILED', exit: 1});
  },
);

describe('--progress json', () => {
  test('prints one event per line, from the first to the last', async () => {
    const places = [`${sandbox.host}/in`, `${sandbox.host}/json`];
    const run = await transship(['copy', ...places, '--progress', 'json']);
    expect(run.code).toBe(0);
    const events = run.stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as RunEvent);
    const kinds = events.map(({type}) => type);
    expect(kinds[0]).toBe('observing');
    expect(kinds.at(-1)).toBe('run-ended');
    const started = events.find((event) => event.type === 'run-started');
    expect(started).toMatchObject({steps: 12, plan: expect.stringMatching(/^sha256:/)});
    expect(kinds.filter((type) => type === 'step-ended')).toHaveLength(12);
    const sizes = events.map((event) =>
      event.type === 'blob-ended' && event.outcome === 'copied' ? event.size : 0,
    );
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(started?.bytes);
    expect(events.at(-1)).toMatchObject({result: 'done', done: 12, failed: 0});
  });

  test('prints an error as an event, too', async () => {
    const run = await transship([
      'copy',
      `${sandbox.host}/none`,
      'localhost:1/x',
      '--progress=json',
    ]);
    expect(run).toMatchObject({code: 1, stdout: ''});
    // Before it, perhaps, that the destination was asked again.
    expect(JSON.parse(run.stderr.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
      type: 'error',
      error: {code: 'REPOSITORY_NOT_FOUND', side: 'source', hint: expect.any(String)},
    });
  });
});

test('--debug prints the origin of an error, after its three lines', async () => {
  const args = ['show', temp.join('absent.json')];
  const plain = await transship(args);
  const debug = await transship([...args, '--debug']);
  expect(debug.stderr.startsWith(plain.stderr)).toBe(true);
  expect(debug.stderr).toMatch(/\n {4}at .*plan-file\.ts/);
  expect(debug.stderr).toMatch(/\ncaused by Error: ENOENT/);
});
