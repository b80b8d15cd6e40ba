import {describe, expect, it} from 'vitest';
import {sizedBy} from '../../src/cli/engine.ts';
import {digestOf} from '../../src/model/digest.ts';
import type {RunEvent} from '../../src/model/event.ts';

const observing = (what: string, done: number, total: number): RunEvent => ({
  type: 'observing',
  what,
  done,
  total,
});
const started = (steps: number, blobs: number): RunEvent => ({
  type: 'run-started',
  plan: digestOf(Buffer.from('')),
  steps,
  blobs,
  bytes: 0,
});
const all = (what: string, total: number) =>
  Array.from({length: total}, (_, at) => observing(what, at + 1, total));

/** What is done with the heap, and what is passed on. */
function told(events: readonly RunEvent[]) {
  const done: string[] = [];
  const passed: RunEvent[] = [];
  const heap = {keepSmall: () => void done.push('small'), letGrow: () => void done.push('grow')};
  const report = sizedBy(heap, (event) => void passed.push(event));
  for (const event of events) report(event);
  return {done, passed};
}

describe('the heap', () => {
  it.each([
    ['a few images', all('a', 300), ['grow']],
    ['many images', all('a', 1001), []],
    ['a plan with few', [started(300, 605)], ['grow']],
    ['a plan with many blobs', [started(300, 1205)], []],
    [
      'many images in a second repository',
      [...all('a', 3), observing('b', 1, 5000)],
      ['grow', 'small'],
    ],
    ['many repositories with few', [...all('a', 600), ...all('b', 600)], ['grow', 'small']],
    [
      'few that are observed and many that follow',
      [...all('a', 3), started(3, 2000)],
      ['grow', 'small'],
    ],
  ])('is set by the size of the run: %s', (_what, events, done) => {
    expect(told(events)).toEqual({done, passed: events});
  });
});
