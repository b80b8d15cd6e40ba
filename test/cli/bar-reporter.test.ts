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
const FRAME_MS = 260;
let written: string;
let reporter: OpenReporter | undefined;
let askState = (): void => undefined;
let stopping: AbortController;

beforeEach(() => {
  vi.useFakeTimers();
  written = '';
  stopping = new AbortController();
});
afterEach(() => {
  reporter?.[Symbol.dispose]();
  reporter = undefined;
  vi.useRealTimers();
});

interface Size {
  columns: number;
  rows: number;
}

/** A stderr that remembers, and says that it is a terminal of some size. */
function stream(isTTY: boolean, size: Size): Writable & Size & {readonly isTTY: boolean} {
  const writable = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      written += chunk;
      done();
    },
  });
  return Object.assign(writable, {isTTY, ...size});
}

let terminal: ReturnType<typeof stream>;

function onStateWanted(listener: () => void): () => void {
  askState = listener;
  return () => undefined;
}

async function open(
  progress: ProgressKind = 'bar',
  {
    isTTY = true,
    env = {},
    size = {columns: 120, rows: 40},
    ...flags
  }: {
    isTTY?: boolean;
    env?: Readonly<Record<string, string>>;
    size?: Size;
    color?: 'auto' | 'always' | 'never';
  } = {},
): Promise<(event: RunEvent) => void> {
  terminal = stream(isTTY, size);
  reporter = openReporter(
    {progress, ...flags},
    {stderr: terminal, env, now: () => new Date(), onStateWanted, stopping: stopping.signal},
  );
  return reporter.report;
}

/** What the next frame writes, line by line. */
function frame(): readonly string[] {
  written = '';
  vi.advanceTimersByTime(FRAME_MS);
  return stripVTControlCharacters(written)
    .split('\n')
    .map((line) => line.replaceAll('\r', '').trimEnd())
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

/** With a retry, a failure and more blobs than fit. */
async function busy(size: Size, flags: Parameters<typeof open>[1] = {}) {
  const report = await open('bar', {size, ...flags});
  report({type: 'run-started', plan: one, steps: 50, images: 40, blobs: 60, bytes: 2000 * MiB});
  report({type: 'step-ended', step: 'copy:r.test/a:v0', outcome: 'done'});
  report({
    type: 'step-ended',
    step: 'copy:r.test/a:sha256-00.sig',
    outcome: 'done',
    isBeside: true,
  });
  const error = {
    code: 'RATE_LIMITED',
    side: 'source',
    retry: false,
    message: 'm',
    hint: 'h',
  } as const;
  report({
    type: 'retrying',
    what: 'registry.example',
    attempt: 1,
    delayMs: 30_000,
    isAsked: true,
    error,
  });
  for (let blob = 0; blob < 45; blob += 1) {
    const [digest, image] = [
      digestOf(`blob ${blob}`),
      `registry.example/team/application:v${blob}`,
    ];
    report({type: 'blob-started', digest, to, size: 40 * MiB, image});
    report(at(digest, 0, 40 * MiB));
  }
  return report;
}

describe('the screen', () => {
  test('shows the sum, the rate, the time that is left, images, and each large blob', async () => {
    const report = await open();
    report(started(110 * MiB));
    report({type: 'blob-started', digest: one, to, size: 100 * MiB, image: 'r.test/a:v1'});
    report(at(one, 0, 100 * MiB));
    report(begins(two, 10 * MiB));
    report(at(two, 0, 10 * MiB));
    for (let second = 1; second <= 5; second += 1) {
      vi.advanceTimersByTime(1000);
      report(at(one, 10 * MiB * second, 100 * MiB));
    }
    const [all, images, first, second, ...others] = frame();
    expect(all).toMatch(/^=+-+ {2}45% {2}50\.0 of 110\.0 MiB {2}/);
    const [, rate, left] = / {2}(\S+) MiB\/s {2}(\d+) s left$/.exec(all ?? '') ?? [];
    expect(Math.abs(Number(rate) - 10)).toBeLessThan(1);
    expect(Math.abs(Number(left) - 60 / Number(rate))).toBeLessThan(1);
    expect(images).toBe('0 of 2 images done, 2 left, 6 s');
    expect(first).toMatch(/^ {2}r\.test\/a:v1 +=+-+ {2}50% {2}50\.0 of 100\.0 MiB +\S+ MiB\/s$/);
    expect(second).toMatch(/^ {2}r\.test\/a@sha256:[0-9a-f]{12} +-+ {3}0% /);
    expect(others).toEqual([]);
  });

  test('gives the bars of blobs what the names leave', async () => {
    for (const [columns, cells] of [
      [80, 10],
      [120, 40],
    ] as const) {
      const report = await open('bar', {size: {columns, rows: 24}});
      report(started(100 * MiB));
      report({
        type: 'blob-started',
        digest: one,
        to,
        size: 100 * MiB,
        image: `r.test/${'a'.repeat(24)}:1`,
      });
      report(at(one, 50 * MiB, 100 * MiB));
      vi.advanceTimersByTime(1000);
      expect(/:1 +([=-]+) {2}50%/.exec(frame()[2] ?? '')?.[1]).toHaveLength(cells);
    }
  });

  test('counts bytes that are sent, and not yet acknowledged', async () => {
    const report = await open();
    report(started(64 * MiB));
    report(begins(one, 64 * MiB));
    report(at(one, 0, 64 * MiB));
    report({...at(one, 0, 64 * MiB), sent: 32 * MiB} as RunEvent);
    expect(frame()[0]).toMatch(/ 50% {2}32\.0 of 64\.0 MiB/);
    // The chunk failed: what was sent of it does not count.
    report(at(one, 0, 64 * MiB));
    expect(frame()[0]).toMatch(/ 0% {2}0 B of 64\.0 MiB/);
  });

  test('removes finished blobs; small ones have no line', async () => {
    const report = await open();
    report(started(20 * MiB));
    report(begins(one, 10 * MiB));
    report(begins(two, 1000));
    expect(frame().at(-1)).toBe('and 1 more blob');
    report({type: 'blob-ended', digest: one, to, outcome: 'copied', size: 10 * MiB});
    report({type: 'blob-ended', digest: two, to, outcome: 'copied', size: 1000});
    expect(frame()).toEqual([
      expect.stringMatching(/ 50% {2}10\.0 of 20\.0 MiB/),
      expect.stringMatching(/^0 of 2 images/),
    ]);
  });

  test('updates the time while no bytes arrive', async () => {
    const report = await open();
    report(started(10 * MiB));
    report(at(one, 0, 10 * MiB));
    vi.advanceTimersByTime(1000);
    report(at(one, 5 * MiB, 10 * MiB));
    expect(frame()[0]).toMatch(/ s left$/);
    vi.advanceTimersByTime(60_000);
    vi.setSystemTime(Date.now() + 1000);
    expect(stripVTControlCharacters(written)).toContain(' 50%  5.0 of 10.0 MiB  0 B/s');
  });

  test('shows images if no bytes are copied', async () => {
    const report = await open();
    report(started(0, 4));
    report({type: 'step-ended', step: 'a', outcome: 'done'});
    expect(frame()).toEqual([
      expect.stringMatching(/^=+-+ {2}25%/),
      expect.stringMatching(/^1 of 4 images done, 3 left/),
    ]);
  });

  test('begins with reading, and ends with an empty screen and the cursor', async () => {
    const report = await open();
    report({type: 'observing', what: 'r.test/a', done: 5, total: 20});
    expect(frame()).toEqual([expect.stringMatching(/^reading =+-+ 5 of 20 tags r\.test\/a$/)]);
    written = '';
    reporter?.[Symbol.dispose]();
    expect(written).toContain('\u001b[?25h');
    expect(frame()).toEqual([]);
  });

  test('names hosts that are waited for, and counts images without their attachments', async () => {
    await busy({columns: 80, rows: 24});
    const [, images, wait] = frame();
    expect(images).toMatch(/^1 of 40 images done, 39 left, 1 retry, /);
    expect(wait).toBe('registry.example asks for 30 s of quiet, 30 s left');
  });

  test('says what a signal does', async () => {
    await busy({columns: 80, rows: 24});
    stopping.abort();
    expect(frame()).toContain('stopping: finishing requests; Ctrl-C again to stop now');
  });

  test.each([
    [80, 24],
    [120, 40],
    [40, 20],
    [40, 4],
    [20, 2],
  ])('fits into %i columns and %i rows', async (columns, rows) => {
    await busy({columns, rows});
    const lines = frame();
    expect(lines.length).toBe(Math.min(rows - 1, 4 + 45));
    for (const line of lines) expect(line.length).toBeLessThan(columns);
    // It moves up exactly as far as it has lines.
    report50();
    written = '';
    vi.advanceTimersByTime(FRAME_MS * 5);
    expect(written).toContain(`\u001b[${lines.length}A`);
  });

  test('is drawn anew when its size changes', async () => {
    await busy({columns: 120, rows: 40});
    frame();
    Object.assign(terminal, {columns: 50, rows: 10});
    written = '';
    terminal.emit('resize');
    const lines = stripVTControlCharacters(written)
      .split('\n')
      .filter((line) => line.trim() !== '');
    expect(lines).toHaveLength(9);
    for (const line of lines) expect(line.length).toBeLessThan(51);
  });

  test('does not write an equal frame again, and a frame in one piece', async () => {
    await busy({columns: 80, rows: 24});
    frame();
    const writes = vi.spyOn(terminal, 'write');
    for (let second = 0; second < 5; second += 1) vi.advanceTimersByTime(1000);
    // The clock of the run and that of the wait tick each second, and nothing else moves.
    expect(writes.mock.calls.length).toBeLessThanOrEqual(11);
    expect(writes.mock.calls.length).toBeGreaterThanOrEqual(4);
  });

  test.each([
    ['by itself', {}, true],
    ['not with NO_COLOR', {env: {NO_COLOR: '1'}}, false],
    ['not with --color never', {color: 'never' as const}, false],
    ['with --color always', {env: {NO_COLOR: '1'}, color: 'always' as const}, true],
  ])('has colors %s', async (_when, flags, isColored) => {
    await busy({columns: 80, rows: 24}, flags);
    written = '';
    vi.advanceTimersByTime(FRAME_MS);
    expect(written.includes('\u001b[33m')).toBe(isColored);
  });
});

function report50(): void {
  reporter?.report(at(digestOf('blob 0'), 20 * MiB, 40 * MiB));
}

describe('above the screen', () => {
  const error = {
    code: 'FORBIDDEN',
    side: 'source',
    retry: false,
    message: 'no\u001b[2J',
    hint: 'h',
  } as const;

  test('stand failures and notices', async () => {
    const report = await open();
    report(started(MiB));
    written = '';
    report({type: 'step-ended', step: 'copy:a', outcome: 'failed', error});
    report({type: 'notice', code: 'X', message: 'take care'});
    const lines = stripVTControlCharacters(written)
      .split('\n')
      .map((line) => line.trim());
    expect(lines.slice(0, 2)).toEqual(['copy:a', 'error: no\\u{1b}[2J [FORBIDDEN]']);
    expect(lines).toContain('note: take care');
    expect(lines.some((line) => line.startsWith('0 of 2 images done, 1 failed, 1 left'))).toBe(
      true,
    );
  });

  test('accepts messages before the first frame', async () => {
    const report = await open();
    report({type: 'notice', code: 'X', message: 'first words'});
    expect(written).toBe('note: first words\n');
  });

  test('accepts a request for the state by a signal', async () => {
    await busy({columns: 80, rows: 10});
    frame();
    written = '';
    askState();
    const text = stripVTControlCharacters(written);
    // All of it, however small the screen is.
    expect(text.match(/application:v\d+ /g)?.length).toBeGreaterThan(45);
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
