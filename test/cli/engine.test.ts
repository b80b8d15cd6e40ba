import {execFileSync} from 'node:child_process';
import {PassThrough} from 'node:stream';
import {describe, expect, it} from 'vitest';
import {givingWay, sizedBy} from '../../src/cli/engine.ts';
import {withSession} from '../../src/cli/session.ts';
import {Redactor} from '../../src/http/secrets.ts';
import {digestOf} from '../../src/model/digest.ts';
import type {RunEvent} from '../../src/model/event.ts';

const observing = (what: string, done: number, total: number): RunEvent => ({
  type: 'observing',
  what,
  done,
  total,
});
const started = (steps: number, blobs: number, bytes = 0): RunEvent => ({
  type: 'run-started',
  plan: digestOf(Buffer.from('')),
  steps,
  blobs,
  bytes,
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

const MiB = 1024 * 1024;
const ENDED: RunEvent = {
  type: 'run-ended',
  result: 'done',
  done: 1,
  failed: 0,
  bytes: 64 * MiB,
};

describe('the process', () => {
  it.each([
    ['a layer of 1 GiB', [...all('a', 1), started(1, 2, 1024 * MiB)], 1],
    ['64 MiB', [started(1, 2, 64 * MiB)], 1],
    ['a byte less', [started(1, 2, 64 * MiB - 1)], 0],
    ['300 small images', [...all('a', 300), started(300, 605, 13 * MiB)], 0],
    ['what a run has brought over', [ENDED], 0],
    ['nothing to do', [...all('a', 300), started(0, 0)], 0],
  ])('gives way by what there is to bring over: %s', (_what, events, times) => {
    let given = 0;
    const passed: RunEvent[] = [];
    const engine = {giveWay: () => void (given += 1)};
    const report = givingWay(engine, (event) => void passed.push(event));
    for (const event of events) report(event);
    expect({given, passed}).toEqual({given: times, passed: events});
  });

  it.skipIf(process.platform === 'win32').each([
    ['behind others', 0],
    ['where it was put, a little behind', 1],
    ['where it was put, farther behind', 10],
    // Not everybody may put it there: it then begins like the first.
    ['where it was put, ahead of others', -5],
  ])('is %s', (_what, wanted) => {
    const code = `
      import {getPriority, setPriority} from 'node:os';
      import {ENGINE} from ${JSON.stringify(new URL('../../src/cli/engine.ts', import.meta.url))};
      try {
        if (${wanted} !== 0) setPriority(${wanted});
      } catch {}
      const before = getPriority();
      ENGINE.giveWay();
      console.log(JSON.stringify({before, after: getPriority()}));`;
    const printed = execFileSync(process.execPath, ['--input-type=module', '--eval', code]);
    const {before, after} = JSON.parse(printed.toString()) as Record<'before' | 'after', number>;
    expect(after).toBe(before === 0 ? 3 : before);
  });
});

it('is told of what a session reports', async () => {
  const done: string[] = [];
  const NEVER = new AbortController().signal;
  const io = {
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    env: {},
    home: '/',
    uid: undefined,
    now: () => new Date(0),
    redactor: new Redactor(),
    engine: {
      compileLess: () => void done.push('less'),
      keepSmall: () => void done.push('small'),
      letGrow: () => void done.push('grow'),
      giveWay: () => void done.push('give way'),
    },
    stopping: NEVER,
    aborted: NEVER,
  };
  await withSession(io, {progress: 'none'}, ({report}) => {
    report(started(1, 2, 64 * MiB));
    return Promise.resolve();
  });
  expect(done.toSorted()).toEqual(['give way', 'grow']);
});
