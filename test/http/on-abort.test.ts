import {getEventListeners} from 'node:events';
import {expect, it} from 'vitest';
import {onAbort} from '../../src/http/on-abort.ts';

it('tells all who wait, once', () => {
  const controller = new AbortController();
  const told: string[] = [];
  onAbort(controller.signal, () => told.push('a'));
  onAbort(controller.signal, () => told.push('b'));
  controller.abort();
  controller.abort();
  expect(told).toEqual(['a', 'b']);
});

it('tells nobody who waits no more, and ends the wait of no other', () => {
  const controller = new AbortController();
  const told: string[] = [];
  const same = () => told.push('same');
  const forget = onAbort(controller.signal, same);
  onAbort(controller.signal, same);
  forget();
  forget();
  controller.abort();
  expect(told).toEqual(['same']);
});

it('tells nobody whose wait another ends when it is told', () => {
  const controller = new AbortController();
  const told: string[] = [];
  onAbort(controller.signal, () => forget());
  const forget = onAbort(controller.signal, () => told.push('b'));
  controller.abort();
  expect(told).toEqual([]);
});

it('listens to no signal that nobody waits for', () => {
  const {signal} = new AbortController();
  for (let round = 0; round < 2; round += 1) {
    const forget = [onAbort(signal, () => undefined), onAbort(signal, () => undefined)];
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    for (const each of forget) each();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  }
});
