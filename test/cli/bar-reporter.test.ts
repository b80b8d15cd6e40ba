import {Writable} from 'node:stream';
import {stripVTControlCharacters} from 'node:util';
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import {
  type OpenReporter,
  openReporter,
  type ProgressKind,
} from '../../src/cli/reporters/choose.ts';
import {digestOf} from '../../src/model/digest.ts';
import type {RunEvent} from '../../src/model/event.ts';

const MiB = 1024 * 1024;
const to = 'r.test/a';
const [one, two] = [digestOf('one'), digestOf('two')];
/** A frame, and a bit. */
const FRAME_MS = 110;
let written: string;
let reporter: OpenReporter | undefined;

beforeEach(() => {
  vi.useFakeTimers();
  written = '';
});
afterEach(() => {
  reporter?.[Symbol.dispose]();
  reporter = undefined;
  vi.useRealTimers();
});

/** A stderr that remembers, and says that it is a terminal. */
function stream(isTTY: boolean): Writable & {readonly isTTY: boolean; readonly columns: number} {
  const writable = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      written += chunk;
      done();
    },
  });
  return Object.assign(writable, {isTTY, columns: 200});
}

async function open(
  kind: ProgressKind = 'bar',
  {isTTY = true, env = {}}: {isTTY?: boolean; env?: Readonly<Record<string, string>>} = {},
): Promise<(event: RunEvent) => void> {
  reporter = openReporter(kind, {stderr: stream(isTTY), env, now: () => new Date()});
  return reporter.report;
}

/** What the next frame shows, line by line. */
function frame(): readonly string[] {
  written = '';
  vi.advanceTimersByTime(FRAME_MS);
  return stripVTControlCharacters(written)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function started(bytes: number, steps = 2): RunEvent {
  return {type: 'run-started', plan: one, steps, blobs: 2, bytes};
}

function begins(digest: typeof one, size: number): RunEvent {
  return {type: 'blob-started', digest, to, size};
}

function at(digest: typeof one, acknowledged: number, size: number): RunEvent {
  return {type: 'blob-progress', digest, to, acknowledged, size};
}

describe('bars', () => {
  test('show the sum, the rate and the time that is left, and each large blob', async () => {
    const report = await open();
    report(started(110 * MiB));
    report(begins(one, 100 * MiB));
    report(at(one, 0, 100 * MiB));
    report(begins(two, 10 * MiB));
    report(at(two, 0, 10 * MiB));
    for (let second = 1; second <= 5; second += 1) {
      vi.advanceTimersByTime(1000);
      report(at(one, 10 * MiB * second, 100 * MiB));
    }
    const [all, first, second, ...others] = frame();
    expect(all).toMatch(/^all =+-+ 45% 0 of 2 images, 50\.0 MiB of 110\.0 MiB, /);
    const [, rate, left] = /, (\S+) MiB\/s, (\d+) s left$/.exec(all ?? '') ?? [];
    expect(Number(rate)).toBeCloseTo(10, 0);
    expect(Number(left)).toBeCloseTo(60 / Number(rate), -1);
    expect(first).toMatch(/^sha256:[0-9a-f]{12} =+-+ 50% 100\.0 MiB$/);
    expect(second).toMatch(/^sha256:[0-9a-f]{12} -+ 0% 10\.0 MiB$/);
    expect(others).toEqual([]);
  });

  test('of blobs go when the blobs have come; small ones have none', async () => {
    const report = await open();
    report(started(20 * MiB));
    report(begins(one, 10 * MiB));
    report(begins(two, 1 * MiB));
    expect(frame()).toHaveLength(2);
    report({type: 'blob-ended', digest: one, to, outcome: 'copied', size: 10 * MiB});
    expect(frame()).toEqual([expect.stringMatching(/ 50% .*10\.0 MiB of 20\.0 MiB/)]);
  });

  test('know that time passes while nothing comes', async () => {
    const report = await open();
    report(started(10 * MiB));
    report(at(one, 0, 10 * MiB));
    vi.advanceTimersByTime(1000);
    report(at(one, 5 * MiB, 10 * MiB));
    expect(frame()[0]).toMatch(/ s left$/);
    vi.advanceTimersByTime(60_000);
    expect(frame()[0]).toMatch(/50% .* 0 B\/s$/);
  });

  test('go by images where no bytes travel', async () => {
    const report = await open();
    report(started(0, 4));
    report({type: 'step-ended', step: 'a', outcome: 'done'});
    expect(frame()[0]).toMatch(/^all =+-+ 25% 1 of 4 images/);
  });

  test('begin with reading, and end with an empty screen and the cursor', async () => {
    const report = await open();
    report({type: 'observing', what: 'r.test/a', done: 5, total: 20});
    expect(frame()).toEqual([expect.stringMatching(/^reading .* 25% r\.test\/a: 5 of 20 tags$/)]);
    written = '';
    reporter?.[Symbol.dispose]();
    expect(written).toContain('\u001b[?25h');
    expect(frame()).toEqual([]);
  });
});

describe('above the bars', () => {
  const error = {
    code: 'FORBIDDEN',
    side: 'source',
    retry: false,
    message: 'no\u001b[2J',
    hint: 'h',
  } as const;
  const retrying: RunEvent = {type: 'retrying', what: 'x', attempt: 1, delayMs: 1500, error};
  const retryLine = 'retrying in 1.5 s: x: no\\u{1b}[2J';

  test('stand failures, notices and what is tried again', async () => {
    const report = await open();
    report(started(MiB));
    report({type: 'step-ended', step: 'copy:a', outcome: 'failed', error});
    report({type: 'notice', code: 'X', message: 'take care'});
    report(retrying);
    const lines = frame();
    expect(lines.slice(0, 2)).toEqual(['copy:a', 'error: no\\u{1b}[2J [FORBIDDEN]']);
    expect(lines.slice(4, 6)).toEqual(['note: take care', retryLine]);
    expect(lines[6]).toMatch(/^all .* 1 of 2 images.*, 1 failed$/);
  });

  test('it is said before there is a bar, too, and when they go', async () => {
    const report = await open();
    report(retrying);
    expect(written).toBe(`${retryLine}\n`);
    report(started(MiB));
    frame();
    report({type: 'notice', code: 'X', message: 'last words'});
    written = '';
    reporter?.[Symbol.dispose]();
    expect(written).toContain('note: last words\n');
  });
});

/** All that `auto` shows of a run in its first five seconds. */
async function shownBy(options: Parameters<typeof open>[1]): Promise<string> {
  const report = await open('auto', options);
  report(started(MiB));
  vi.advanceTimersByTime(5000);
  return written;
}

describe('auto', () => {
  test('is bars on a terminal', async () => {
    expect(await shownBy({})).toContain('\u001b[');
  });

  test.each([
    ['where stderr is no terminal', {isTTY: false}],
    ['in CI', {env: {CI: 'true'}}],
    ['on a terminal that can do nothing', {env: {TERM: 'dumb'}}],
  ])('is plain lines %s', async (_where, options) => {
    expect(await shownBy(options)).toMatch(/^0 of 2 images, 0 B of 1\.0 MiB.*\n$/);
  });
});
