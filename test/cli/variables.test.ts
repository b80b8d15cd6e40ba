import {readFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {renderDotenv} from '../../src/report/ci-reports.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {toldError} from '../support/error-lines.ts';
import {storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const cleanup = new AsyncDisposableStack();
let source: Sandbox;
let temp: TempDirectory;
let places: readonly [string, string];

beforeAll(async () => {
  source = cleanup.use(await startSandbox());
  const destination = cleanup.use(await startSandbox());
  temp = cleanup.use(await tempDirectory());
  for (const tag of ['v1', 'v2', 'w1', 'dev'])
    await storeImage(source.storage, 'app' as RepositoryPath, tag, [Buffer.from(tag)]);
  places = [`${source.host}/app`, `${destination.host}/app`];
});
afterAll(() => cleanup.disposeAsync());

/** The tags that a plan copies. */
async function planned(
  env: Readonly<Record<string, string>>,
  ...flags: readonly string[]
): Promise<readonly string[]> {
  const run = await transship(['plan', 'copy', ...places, '--format', 'json', ...flags], {env});
  expect(run).toMatchObject({code: 0});
  const {steps} = JSON.parse(run.stdout) as {readonly steps: readonly {readonly tag: string}[]};
  return steps.map(({tag}) => tag).toSorted();
}

describe('the variable of a flag', () => {
  test('counts where the flag is not given', async () => {
    expect(await planned({TRANSSHIP_TAG: 'w*'})).toEqual(['w1']);
    expect(await planned({TRANSSHIP_TAG: 'w*'}, '--tag', 'dev')).toEqual(['dev']);
    expect(await planned({TRANSSHIP_TAG: ''})).toHaveLength(4);
  });

  test('may hold several values of a flag that may be given several times', async () => {
    expect(await planned({TRANSSHIP_TAG: 'dev, w*'})).toEqual(['dev', 'w1']);
    expect(await planned({TRANSSHIP_TAG: 'v{1,3},dev'})).toEqual(['dev', 'v1']);
  });

  test('switches a flag without a value on or off', async () => {
    const plan = ['plan', 'copy', ...places, '--tag', 'none*'];
    const exit = async (value: string) => {
      return (await transship(plan, {env: {TRANSSHIP_ALLOW_EMPTY: value}})).code;
    };
    expect([await exit('1'), await exit('true'), await exit('0'), await exit('false')]).toEqual([
      0, 0, 3, 3,
    ]);
  });

  test('gives what is needed', async () => {
    const run = await transship(['plan', 'transfer', 'org/app'], {env: {TRANSSHIP_TO: 'new/'}});
    expect(toldError(run).message).toBe('no GitLab instance is given');
    const without = toldError(await transship(['plan', 'transfer', 'org/app']));
    expect(without).toMatchObject({code: 'USAGE', exit: 64});
    expect(without.message).toContain('--to');
  });

  test('chooses how errors are written', async () => {
    const args = ['copy', 'localhost/a:-x', 'localhost/b'];
    const run = await transship(args, {env: {TRANSSHIP_PROGRESS: 'json', TRANSSHIP_DEBUG: '1'}});
    expect(JSON.parse(run.stderr)).toMatchObject({
      error: {code: 'REFERENCE_INVALID'},
      trace: expect.arrayContaining([expect.stringContaining('at ')]),
    });
  });

  test.each([
    ['TRANSSHIP_NEWEST', '-1'],
    ['TRANSSHIP_FORMAT', 'xml'],
    ['TRANSSHIP_PROGRESS', 'fast'],
    ['TRANSSHIP_NO_CLOBBER', 'perhaps'],
    ['TRANSSHIP_PLATFORM', 'linux/amd64,arm'],
  ])('is refused with its name or its value: %s=%s', async (name, value) => {
    const run = await transship(['plan', 'copy', ...places], {env: {[name]: value}});
    const error = toldError(run);
    expect(error).toMatchObject({exit: 64, side: 'this machine'});
    expect(error.message).toContain(name === 'TRANSSHIP_PLATFORM' ? '"arm"' : name);
  });
});

describe('trust in a plan from another machine', () => {
  test('is given and taken by variables as by flags', async () => {
    const [file, home] = [temp.join('p.plan.json'), temp.join('elsewhere')];
    const layout = temp.join('layout');
    const plan = ['plan', 'copy', places[0], `oci:${layout}`, '--out', file];
    expect(await transship(plan)).toMatchObject({code: 0});
    const apply = (env: Readonly<Record<string, string>>) =>
      transship(['apply', file], {home, env});
    const code = async (env: Readonly<Record<string, string>>) => toldError(await apply(env)).code;
    expect(await code({})).toBe('PATH_NOT_ALLOWED');
    expect(await code({TRANSSHIP_PLAN_ID: `sha256:${'0'.repeat(64)}`})).toBe('PLAN_NOT_REVIEWED');
    expect(await code({TRANSSHIP_VERIFY_KEY: temp.join('none.pub')})).toBe('FILE_UNREADABLE');
    const allowed = `/nowhere,${temp.path}`;
    expect(await apply({TRANSSHIP_ALLOW_PATH: allowed})).toMatchObject({code: 0});
  });

  test('is not given for deletions: each run needs its own yes', async () => {
    const file = temp.join('delete.plan.json');
    const repository = `${source.host}/app`;
    const wish = ['plan', 'delete', repository, '--tag', 'dev', '--out', file];
    expect(await transship(wish)).toMatchObject({code: 0});
    const run = await transship(['apply', file], {env: {TRANSSHIP_YES: '1'}});
    expect(run.code).not.toBe(0);
    const moved = await planned({TRANSSHIP_DELETE_SOURCE: '1', TRANSSHIP_TAG: 'dev'});
    expect(moved).toEqual(['dev']);
    const tags = await source.storage.manifests.tags('app' as RepositoryPath);
    expect(tags).toContain('dev');
  });
});

const COMMANDS = [
  'copy',
  'plan copy',
  'plan transfer',
  'plan file',
  'plan delete',
  'inventory',
  'show',
  'apply',
  'verify',
  'status',
  'pipeline',
  'rollback',
  'refs',
  'doctor',
  'explain',
];

/** The flags of a command, as its help names them. */
async function flagsOf(command: string): Promise<readonly string[]> {
  const {stdout} = await transship([...command.split(' '), '--help']);
  return [...stdout.matchAll(/^ {2}(?:-\w, )?--([a-z0-9-]+)/gm)].map(([, name = '']) => name);
}

/** A value that no flag takes. */
const NO_VALUE = '\u{1}';

test('each flag of each command has one, but for those that the manual names', async () => {
  const manual = await readFile(new URL('../../docs/variables.md', import.meta.url), 'utf8');
  const [, without = ''] = /## Flags without a variable\n([^#]*)/.exec(manual) ?? [];
  const named = [...without.matchAll(/`(?:verify |refs |doctor )?--([a-z0-9-]+)`/g)].map(
    ([, name]) => name,
  );
  expect(named).toContain('yes');
  for (const command of COMMANDS) {
    const flags = await flagsOf(command);
    expect(flags).toContain(command === 'sandbox' ? 'port' : 'help');
    const {stdout} = await transship([...command.split(' '), '--help']);
    const switches = flags.filter((flag) => !new RegExp(`--${flag} <`).test(stdout));
    for (const flag of switches) {
      if (named.includes(flag) && !(flag === 'donor' && command !== 'verify')) continue;
      const name = `TRANSSHIP_${flag.toUpperCase().replaceAll('-', '_')}`;
      const args = [...command.split(' '), 'x:/', ...(command.endsWith('copy') ? ['x:/'] : [])];
      const run = await transship(args, {
        env: {TRANSSHIP_TO: 'x', TRANSSHIP_PARALLEL: '2', [name]: NO_VALUE},
      });
      expect(toldError(run).message).toContain(name);
    }
  }
});

test('what a job leaves for the next is not taken for flags', async () => {
  const result = {
    plan: `sha256:${'0'.repeat(64)}`,
    result: 'done',
    steps: [],
    bytes: {sent: 0},
  } as unknown as Parameters<typeof renderDotenv>[0];
  const left = renderDotenv(result)
    .trim()
    .split('\n')
    .map((line) => line.split('=')[0] ?? '');
  expect(left).toContain('TRANSSHIP_PLAN');
  const flags = new Set((await Promise.all(COMMANDS.map(flagsOf))).flat());
  for (const name of left)
    expect(flags).not.toContain(name.slice(10).toLowerCase().replaceAll('_', '-'));
});
