import {expect, it} from 'vitest';
import {Watch} from '../../src/http/watch.ts';

/** Timers that hold the process. */
const holding = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

it('does not hold the process, which what it watches does', () => {
  const watch = new Watch();
  const before = holding();
  watch.start(60_000, () => undefined);
  expect(holding()).toBe(before);
  watch.end();
});
