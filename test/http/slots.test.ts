import {describe, expect, it} from 'vitest';
import {Slots} from '../../src/http/slots.ts';
import {NEVER} from '../support/streams.ts';

/** Lets all that can go on do so. */
const settle = () => new Promise<void>((resolve) => void setImmediate(resolve));

/** A task that ends when it is told to. */
function task(name: string, began: string[]) {
  const {promise, resolve} = Promise.withResolvers<void>();
  return {
    end: resolve,
    run: () => {
      began.push(name);
      return promise;
    },
  };
}

describe('Slots', () => {
  it('lets in as many as it has, and the others in their order', async () => {
    const slots = new Slots(2);
    const began: string[] = [];
    const tasks = ['a', 'b', 'c', 'd'].map((name) => task(name, began));
    const all = tasks.map(({run}) => slots.run({signal: NEVER}, run));
    expect(began).toEqual(['a', 'b']);
    tasks[1]?.end();
    await settle();
    expect(began).toEqual(['a', 'b', 'c']);
    for (const {end} of tasks) end();
    await Promise.all(all);
    expect(began).toEqual(['a', 'b', 'c', 'd']);
    expect(slots.taken).toBe(0);
  });

  it('frees the slot of a task that failed', async () => {
    const slots = new Slots(1);
    const failed = slots.run({signal: NEVER}, () => Promise.reject(new Error('no')));
    const next = slots.run({signal: NEVER}, () => Promise.resolve('next'));
    await expect(failed).rejects.toThrow('no');
    expect(await next).toBe('next');
  });

  it('lets in more at once when it gets more, and nobody while it has too few', async () => {
    const slots = new Slots(2);
    const began: string[] = [];
    const tasks = ['a', 'b', 'c', 'd'].map((name) => task(name, began));
    const all = tasks.map(({run}) => slots.run({signal: NEVER}, run));
    slots.count = 1;
    tasks[0]?.end();
    await settle();
    expect(began).toEqual(['a', 'b']);
    slots.count = 3;
    await settle();
    expect(began).toEqual(['a', 'b', 'c', 'd']);
    for (const {end} of tasks) end();
    await Promise.all(all);
  });

  it('holds everybody until it is released', async () => {
    const slots = new Slots(1);
    slots.hold();
    const began: string[] = [];
    const held = task('a', began);
    const all = slots.run({signal: NEVER}, held.run);
    await settle();
    expect(began).toEqual([]);
    slots.release();
    held.end();
    await all;
    expect(began).toEqual(['a']);
  });

  it('runs nothing whose signal is aborted, and forgets who waits', async () => {
    const slots = new Slots(1);
    const began: string[] = [];
    const first = task('first', began);
    const running = slots.run({signal: NEVER}, first.run);
    const controller = new AbortController();
    const waiting = slots.run({signal: controller.signal}, task('waiting', began).run);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(slots.run({signal: controller.signal}, task('late', began).run)).rejects.toThrow(
      'enough',
    );
    first.end();
    await running;
    expect(began).toEqual(['first']);
    expect(slots.taken).toBe(0);
  });

  it('lets those whose run is to stop leave while it is held, and keeps the others in their order', async () => {
    const slots = new Slots(1);
    const stopping = new AbortController();
    const stoppable = {signal: NEVER, stopping: stopping.signal};
    const began: string[] = [];
    const first = task('first', began);
    const running = slots.run({signal: NEVER}, first.run);
    let hasLeft = false;
    const left = slots.run(stoppable, task('left', began).run).finally(() => {
      hasLeft = true;
    });
    const second = task('second', began);
    const stayed = slots.run({signal: NEVER}, second.run);
    stopping.abort();
    // It waits for a slot, not for a host.
    await settle();
    expect(hasLeft).toBe(false);
    slots.hold();
    await expect(left).rejects.toMatchObject({code: 'INTERRUPTED'});
    await expect(slots.run(stoppable, task('late', began).run)).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
    first.end();
    second.end();
    slots.release();
    await Promise.all([running, stayed]);
    expect(began).toEqual(['first', 'second']);
    expect(slots.taken).toBe(0);
  });
});
