import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {plainReporter} from '../../src/cli/reporters/plain.ts';
import {digestOf} from '../../src/model/digest.ts';

const digest = digestOf('x');
let lines: string[];
let reporter: ReturnType<typeof plainReporter>;

beforeEach(() => {
  vi.useFakeTimers();
  lines = [];
  reporter = plainReporter({sink: {write: (text) => void lines.push(text)}});
});
afterEach(() => {
  reporter.close();
  vi.useRealTimers();
});

test('is never silent for long, and never says more than a line every few seconds', () => {
  vi.advanceTimersByTime(5_000);
  expect(lines).toEqual([expect.stringMatching(/^still reading\n$/)]);
  reporter.report({type: 'run-started', plan: digest, steps: 2, blobs: 1, bytes: 1000});
  for (let acknowledged = 0; acknowledged < 600; acknowledged += 1) {
    reporter.report({type: 'blob-progress', digest, to: 'r/a', acknowledged, size: 1000});
    vi.advanceTimersByTime(100);
  }
  expect(lines).toHaveLength(1 + 60 / 5);
  expect(lines.at(-1)).toMatch(/^0 of 2 images, 5\d\d B of 1000 B, 10 B\/s, \d+ s left\n$/);
});

test('does not guess from the first few bytes how long the others take', () => {
  reporter.report({type: 'run-started', plan: digest, steps: 1, blobs: 2, bytes: 100_000});
  const progress = (acknowledged: number) =>
    reporter.report({type: 'blob-progress', digest, to: 'r/a', acknowledged, size: 100_000});
  progress(0);
  progress(40);
  vi.advanceTimersByTime(5_000);
  expect(lines.at(-1)).toMatch(/40 B of 97\.7 KiB, 8 B\/s\n$/);
  progress(50_000);
  vi.advanceTimersByTime(5_000);
  expect(lines.at(-1)).toMatch(/48\.8 KiB of 97\.7 KiB, 4\.9 KiB\/s, 10 s left\n$/);
});

test('reports failures immediately, and counts them', () => {
  reporter.report({type: 'run-started', plan: digest, steps: 2, blobs: 0, bytes: 0});
  const error = {
    code: 'FORBIDDEN',
    side: 'source',
    retry: false,
    message: 'no\u001b[2J\nmore',
    hint: 'h',
  } as const;
  reporter.report({type: 'step-ended', step: 'copy:r/a:b', outcome: 'failed', error});
  expect(lines).toEqual([
    'copy:r/a:b\nerror: no\\u{1b}[2J more [FORBIDDEN]\n side: the source\n hint: h\n',
  ]);
  vi.advanceTimersByTime(5_000);
  expect(lines.at(-1)).toContain('0 of 2 images');
  expect(lines.at(-1)).toContain('1 failed');
});

test('counts the images of a transfer, not its steps, and names the step', () => {
  const step = (name: string, images: number) => {
    reporter.report({type: 'step-started', step: name, images});
    for (let image = 0; image < images; image += 1)
      reporter.report({type: 'step-ended', step: `copy:${name}:${image}`, outcome: 'done'});
    vi.advanceTimersByTime(5_000);
    reporter.report({type: 'step-ended', step: name, outcome: 'done', images});
    return lines.at(-1);
  };
  reporter.report({type: 'run-started', plan: digest, steps: 3, blobs: 0, bytes: 0});
  expect(step('pause', 0)).toMatch(/^pause: 0 of 3 images,/);
  expect(step('pull', 3)).toMatch(/^pull: 3 of 3 images,/);
  expect(step('delete-old', 0)).toMatch(/^delete-old: 3 of 3 images,/);
  expect(step('push', 3)).toMatch(/^push: 3 of 3 images,/);
});

test('with --verbose has a line for each finished image', () => {
  const verbose = plainReporter({sink: {write: (text) => void lines.push(text)}, isVerbose: true});
  verbose.report({type: 'step-ended', step: 'copy:r/a:v1', outcome: 'done'});
  verbose.report({type: 'step-ended', step: 'copy:r/a:v2', outcome: 'present'});
  verbose.close();
  expect(lines).toEqual(['done: r/a:v1\n', 'present: r/a:v2\n']);
});

test('reports its state on request, also if it is silent', () => {
  const silent = plainReporter({sink: {write: (text) => void lines.push(text)}, isSilent: true});
  silent.report({type: 'run-started', plan: digest, steps: 2, blobs: 0, bytes: 10});
  vi.advanceTimersByTime(60_000);
  lines.length = 0;
  silent.tellState();
  expect(lines).toEqual([expect.stringMatching(/^0 of 2 images, 0 B of 10 B/)]);
});

test('says nothing once it is closed', () => {
  reporter.close();
  vi.advanceTimersByTime(60_000);
  expect(lines).toEqual([]);
});
