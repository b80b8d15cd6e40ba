import {existsSync} from 'node:fs';
import {afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test} from 'vitest';
import type {Timer} from '../../src/apply/run-limits.ts';
import type {RunEvent} from '../../src/model/event.ts';
import type {RunResult, StatusResult} from '../../src/model/outcome.ts';
import type {RepositoryPath, Tag} from '../../src/model/reference.ts';
import type {Exchange, Intercept} from '../../src/sandbox/exchange.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {startRig} from '../sandbox/gitlab/rig.ts';
import {toldError} from '../support/error-lines.ts';
import {someBytes, storeImage} from '../support/small-images.ts';
import {tempDirectory, type TempDirectory} from '../support/temp.ts';
import {transship, type TransshipOptions} from '../support/transship.ts';

const KiB = 1024;
const CHUNK = 64 * KiB;
/** Layers of the images of a test, in bytes: some take several chunks, some one, some none. */
const SIZES = [300 * KiB, 200 * KiB, 60 * KiB, 50 * KiB, 3 * KiB];
const ALL = SIZES.reduce((sum, size) => sum + size, 0);
const cleanup = new AsyncDisposableStack();
/** Told of each request to a registry or to GitLab. */
let seen: (exchange: Exchange) => void;
let source: Sandbox;
let destination: Sandbox;
let temp: TempDirectory;
let repository: RepositoryPath;
let count = 0;
let file: string;

const intercept: Intercept = (exchange, next) => {
  seen(exchange);
  return next();
};

beforeAll(async () => {
  source = cleanup.use(await startSandbox({intercept}));
  destination = cleanup.use(await startSandbox({intercept}));
  temp = cleanup.use(await tempDirectory());
});
afterAll(() => cleanup.disposeAsync());
beforeEach(async () => {
  seen = () => undefined;
  repository = `r${++count}` as RepositoryPath;
  for (const [n, size] of SIZES.entries())
    await storeImage(source.storage, repository, `v${n}`, [someBytes(size)]);
  file = temp.join(`${count}.plan.json`);
  await transship(['plan', 'copy', ...places(), '--out', file]);
});

function places(): readonly [string, string] {
  return [`${source.host}/${repository}`, `${destination.host}/${repository}`];
}

const CHUNKS = ['--chunk-size', '64KiB', '--jobs', '4'];

function apply(flags: readonly string[], options: TransshipOptions = {}) {
  return transship(['apply', file, '--format', 'json', ...CHUNKS, ...flags], options);
}

async function tags(): Promise<number> {
  return (await destination.storage.manifests.tags(repository)).length;
}

/** A clock that a test lets strike. */
class Clock {
  readonly asked: number[] = [];
  #act: (() => void) | undefined;

  readonly timer: Timer = (ms, act) => {
    this.asked.push(ms);
    this.#act = act;
    return {[Symbol.dispose]: () => (this.#act = undefined)};
  };

  strike(): void {
    this.#act?.();
  }

  get isRunning(): boolean {
    return this.#act !== undefined;
  }
}

describe('--max-bytes', () => {
  test('ends a run at that many bytes; the next ones resume until all is done', async () => {
    const max = 150 * KiB;
    let sent = 0;
    let runs = 0;
    for (let code = 130; code !== 0; runs += 1) {
      const run = await apply(['--max-bytes', '150KiB']);
      code = run.code;
      const {result, limit, bytes} = JSON.parse(run.stdout) as RunResult;
      const ended = code === 0 ? ['done', undefined] : ['interrupted', 'MAX_BYTES_REACHED'];
      expect([code === 0 || code === 130, result, limit]).toEqual([true, ...ended]);
      expect(bytes.sent).toBeLessThan(max + CHUNK);
      expect(runs).toBeLessThan(10);
      sent += bytes.sent;
    }
    expect(runs).toBeGreaterThan(ALL / (max + CHUNK));
    // Nothing was sent twice. Each image has a config of some bytes.
    expect(sent - ALL).toBeLessThan(KiB);
    expect(await tags()).toBe(SIZES.length);
  });

  test('of less than a chunk lets each run send one', async () => {
    const run = await apply(['--max-bytes', '1']);
    expect(run.code).toBe(130);
    const {bytes} = JSON.parse(run.stdout) as RunResult;
    expect(bytes.sent).toBeGreaterThan(0);
    expect(bytes.sent).toBeLessThanOrEqual(CHUNK);
  });

  test('is reported immediately, and at the end, as a limit', async () => {
    const flags = ['--max-bytes', '100K', '--progress', 'json'];
    const {stdout, stderr} = await transship(['apply', file, ...CHUNKS, ...flags]);
    const events = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as RunEvent);
    const notice = events.find((event) => event.type === 'notice');
    expect(notice).toMatchObject({code: 'MAX_BYTES_REACHED'});
    expect(notice?.message).toContain('--max-bytes');
    expect(events.at(-1)).toMatchObject({
      type: 'run-ended',
      result: 'interrupted',
      limit: 'MAX_BYTES_REACHED',
    });
    expect(stdout).toMatch(/Stopped by --max-bytes: \d of 5 images copied, .*again to resume/);
    const status = await transship(['status', file, '--format', 'json']);
    expect((JSON.parse(status.stdout) as StatusResult).ended).toBe('interrupted');
  });

  test('that is not reached changes nothing', async () => {
    const run = await apply(['--max-bytes', '1TiB']);
    expect(run.code).toBe(0);
    expect(JSON.parse(run.stdout)).not.toHaveProperty('limit');
  });

  test('counts blobs that are sent, not those that are there', async () => {
    expect((await apply([])).code).toBe(0);
    expect((await apply(['--max-bytes', '1'])).code).toBe(0);
  });

  test('ends copy likewise', async () => {
    const copy = ['copy', ...places(), '--format', 'json', ...CHUNKS];
    const run = await transship([...copy, '--max-bytes', '100KiB']);
    expect(run.code).toBe(130);
    expect(JSON.parse(run.stdout)).toMatchObject({limit: 'MAX_BYTES_REACHED'});
    expect((await transship(copy)).code).toBe(0);
    expect(await tags()).toBe(SIZES.length);
  });
});

describe('--max-duration', () => {
  test('ends a run after that time; the next one resumes', async () => {
    const clock = new Clock();
    seen = ({method}) => {
      if (method === 'PATCH') clock.strike();
    };
    const run = await apply(['--max-duration', '90m'], {timer: clock.timer});
    expect(clock.asked).toEqual([90 * 60_000]);
    expect(run.code).toBe(130);
    expect(JSON.parse(run.stdout)).toMatchObject({
      result: 'interrupted',
      limit: 'MAX_DURATION_REACHED',
    });
    expect(await tags()).toBeLessThan(SIZES.length);
    seen = () => undefined;
    expect((await apply([])).code).toBe(0);
    expect(await tags()).toBe(SIZES.length);
  });

  test('that was not reached is forgotten with the run', async () => {
    const clock = new Clock();
    expect((await apply(['--max-duration', '2d'], {timer: clock.timer})).code).toBe(0);
    expect(clock.asked).toEqual([2 * 24 * 3_600_000]);
    expect(clock.isRunning).toBe(false);
  });

  test('that is reached while copy still plans ends it with the same code', async () => {
    const clock = new Clock();
    seen = () => clock.strike();
    const args = ['copy', ...places(), '--max-duration', '1s'];
    const error = toldError(await transship(args, {timer: clock.timer}));
    expect(error).toMatchObject({code: 'MAX_DURATION_REACHED', exit: 130, side: 'this machine'});
    expect(error.hint).toContain('--max-duration');
    expect(await tags()).toBe(0);
  });

  test('that is reached after a signal did not end the run', async () => {
    const clock = new Clock();
    const stopping = new AbortController();
    seen = ({method}) => {
      if (method !== 'PATCH') return;
      stopping.abort();
      clock.strike();
    };
    const options = {timer: clock.timer, stopping: stopping.signal};
    const run = await apply(['--max-duration', '1h'], options);
    expect(run.code).toBe(130);
    expect(JSON.parse(run.stdout)).not.toHaveProperty('limit');
  });
});

describe('a variable', () => {
  test.each([
    ['TRANSSHIP_MAX_BYTES', '100KiB', [], 130],
    ['TRANSSHIP_MAX_BYTES', '', [], 0],
    ['TRANSSHIP_MAX_BYTES', '100KiB', ['--max-bytes', '1GiB'], 0],
  ])('%s=%s sets the limit, with %j exit %i', async (name, value, flags, code) => {
    expect((await apply(flags, {env: {[name]: value}})).code).toBe(code);
  });

  test('TRANSSHIP_MAX_DURATION sets the other', async () => {
    const clock = new Clock();
    await apply([], {env: {TRANSSHIP_MAX_DURATION: '3h'}, timer: clock.timer});
    expect(clock.asked).toEqual([3 * 3_600_000]);
  });

  test.each([
    ['TRANSSHIP_MAX_BYTES', 'much', 'write a size such as 32MiB'],
    ['TRANSSHIP_MAX_DURATION', '1h30', 'write a time such as 90m, 4h or 2d'],
  ])('%s=%s is wrong usage', async (name, value, hint) => {
    const error = toldError(await apply([], {env: {[name]: value}}));
    expect(error).toMatchObject({code: 'USAGE', exit: 64});
    expect(error.message).toContain(`${name} has the value '${value}'`);
    expect(error.message).toContain(hint);
  });
});

test.each([
  ['--max-bytes', '0'],
  ['--max-bytes', '-1'],
  ['--max-bytes', '10MB'],
  ['--max-duration', '0s'],
  ['--max-duration', '90'],
  ['--max-duration', '2026-01-01'],
])('%s %s is wrong usage', async (flag, value) => {
  expect(toldError(await apply([`${flag}=${value}`]))).toMatchObject({code: 'USAGE', exit: 64});
});

/** Not the end of an upload that was only tried. */
function deletesTag({method, path}: Exchange): boolean {
  return method === 'DELETE' && !path.includes('/uploads/');
}

describe('a transfer', () => {
  const OLD = 'org/build/app';
  const NEW = 'new_org/build/app';
  const env = {GITLAB_TOKEN: 'ada-api'};

  /** A project with an image, and the plan of its move. */
  async function planned() {
    const rig = await startRig({
      mode: 'legacy',
      intercept,
    });
    onTestFinished(() => rig[Symbol.asyncDispose]());
    const directory = await tempDirectory();
    onTestFinished(() => directory[Symbol.asyncDispose]());
    const plan = directory.join('move.plan.json');
    const wish = ['plan', 'transfer', OLD, '--to', 'new_org/build/', '--gitlab', rig.url];
    const made = await transship([...wish, '--donor', directory.join('donor'), '--out', plan], {
      env,
    });
    expect(made.code).toBe(0);
    return {
      journal: directory.join('move.journal.ndjson'),
      apply: (flags: readonly string[], options: TransshipOptions = {}) =>
        transship(['apply', plan, '--yes', '--format', 'json', ...flags], {env, ...options}),
      rollback: (flags: readonly string[]) => transship(['rollback', plan, ...flags], {env}),
      tags: (path: string) =>
        rig.sandbox.storage.manifests.tags(`${path}/cr` as RepositoryPath) as Promise<Tag[]>,
    };
  }

  test('ends at a limit before any deletion, and resumes', async () => {
    const move = await planned();
    const stopped = await move.apply(['--max-bytes', '1']);
    expect(stopped.code).toBe(130);
    const result = JSON.parse(stopped.stdout) as RunResult;
    const standing = result.projects?.[0]?.standing;
    expect([result.limit, standing?.project]).toEqual(['MAX_BYTES_REACHED', 'before']);
    expect(standing?.images.old).toBe(standing?.images.total);
    expect(await move.tags(OLD)).toEqual(['v2.9.1']);
    expect((await move.apply([])).code).toBe(0);
    expect(await move.tags(NEW)).toEqual(['v2.9.1']);
  });

  test('is not ended by a limit once its deletions have begun', async () => {
    const move = await planned();
    const clock = new Clock();
    let struck = 0;
    seen = (exchange) => {
      if (!deletesTag(exchange) && !exchange.path.endsWith('/transfer')) return;
      struck += 1;
      clock.strike();
    };
    const run = await move.apply(['--max-duration', '1h'], {timer: clock.timer});
    expect(struck).toBeGreaterThan(1);
    expect(run.code).toBe(0);
    expect(await move.tags(NEW)).toEqual(['v2.9.1']);
  });

  test('that was stopped after its deletions does not end at a limit when it resumes', async () => {
    const move = await planned();
    const stopping = new AbortController();
    seen = (exchange) => {
      if (deletesTag(exchange)) stopping.abort();
    };
    expect((await move.apply([], {stopping: stopping.signal})).code).toBe(130);
    expect(await move.tags(OLD)).toEqual([]);
    expect(existsSync(move.journal)).toBe(true);
    seen = () => undefined;
    expect((await move.apply(['--max-bytes', '1'])).code).toBe(0);
    expect(await move.tags(NEW)).toEqual(['v2.9.1']);
  });

  test('is rolled back regardless of the variables, and has no such flags', async () => {
    const move = await planned();
    expect(toldError(await move.rollback(['--max-bytes', '1']))).toMatchObject({code: 'USAGE'});
  });
});
