import {afterEach, beforeEach, describe, expect, it, vi} from 'vitest';
import {type Lane, Throttle} from '../../src/http/throttle.ts';
import type {Call} from '../../src/model/port.ts';
import {NEVER} from '../support/streams.ts';

/** Tasks that end when they are told to. */
function tasks(throttle: Throttle) {
  const started: (() => void)[] = [];
  const results: Promise<void>[] = [];
  return {
    started,
    add(lane: Lane, count: number) {
      for (let n = 0; n < count; n++) {
        const {promise, resolve} = Promise.withResolvers<void>();
        results.push(
          throttle.run(lane, {signal: NEVER}, () => {
            started.push(resolve);
            return promise;
          }),
        );
      }
    },
    async endAll() {
      while (started.length > 0) {
        for (const end of started.splice(0)) end();
        await Promise.resolve();
        await new Promise(setImmediate);
      }
      await Promise.all(results);
    },
  };
}

describe('Throttle', () => {
  it('bounds each lane, and lets no lane wait for another', async () => {
    using throttle = new Throttle();
    const work = tasks(throttle);
    work.add('write', 100);
    expect(work.started).toHaveLength(16);
    work.add('read', 100);
    expect(work.started).toHaveLength(32);
    work.add('small', 100);
    expect(work.started).toHaveLength(64);
    await work.endAll();
  });

  it('doubles with each round of good answers, up to 64', () => {
    using throttle = new Throttle();
    for (let n = 0; n < 32; n++) throttle.succeeded();
    expect(throttle.limit).toBe(64);
    for (let n = 0; n < 1000; n++) throttle.succeeded();
    expect(throttle.limit).toBe(64);
  });

  it('halves when the host is overloaded, never below one, and then grows by one a round', () => {
    using throttle = new Throttle();
    throttle.overloaded();
    expect(throttle.limit).toBe(16);
    for (let n = 0; n < 16; n++) throttle.succeeded();
    expect(throttle.limit).toBe(17);
    for (let n = 0; n < 20; n++) throttle.overloaded();
    expect(throttle.limit).toBe(1);
    throttle.succeeded();
    expect(throttle.limit).toBe(2);
  });

  it('takes the refusals of one round for one', async () => {
    using throttle = new Throttle();
    const work = tasks(throttle);
    work.add('small', 32);
    for (let n = 0; n < 32; n++) throttle.overloaded();
    expect(throttle.limit).toBe(16);
    throttle.overloaded();
    expect(throttle.limit).toBe(8);
    await work.endAll();
  });

  it('leaves a slot in each lane at the lowest limit', async () => {
    using throttle = new Throttle();
    for (let n = 0; n < 10; n++) throttle.overloaded();
    const work = tasks(throttle);
    work.add('write', 3);
    work.add('read', 3);
    work.add('small', 3);
    expect(work.started).toHaveLength(3);
    await work.endAll();
  });

  it('lets in those who wait in their order, whatever became of the one before', async () => {
    using throttle = new Throttle();
    for (let n = 0; n < 10; n++) throttle.overloaded();
    const began: string[] = [];
    const run = (name: string, end: () => Promise<unknown>) =>
      throttle.run('small', {signal: NEVER}, () => {
        began.push(name);
        return end();
      });
    const failed = run('a', () => Promise.reject(new Error('no')));
    const others = ['b', 'c'].map((name) => run(name, () => Promise.resolve()));
    await expect(failed).rejects.toThrow('no');
    await Promise.all(others);
    expect(began).toEqual(['a', 'b', 'c']);
  });

  it('admits more as soon as the limit grows, and none while too many are active', async () => {
    using throttle = new Throttle();
    const work = tasks(throttle);
    work.add('small', 40);
    throttle.overloaded();
    for (const end of work.started.splice(0, 8)) end();
    await new Promise(setImmediate);
    expect(work.started).toHaveLength(24);
    for (let n = 0; n < 1000; n++) throttle.succeeded();
    await new Promise(setImmediate);
    expect(work.started).toHaveLength(32);
    await work.endAll();
  });

  it('releases waiting requests that are aborted', async () => {
    using throttle = new Throttle();
    const work = tasks(throttle);
    work.add('small', 32);
    const controller = new AbortController();
    const reason = new Error('enough');
    const waiting = throttle.run('small', {signal: controller.signal}, () =>
      Promise.reject(new Error('ran')),
    );
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await work.endAll();
  });
});

describe('Throttle, told to wait', () => {
  beforeEach(() => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout', 'Date']});
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('holds all lanes for the longest time that was asked for', async () => {
    using throttle = new Throttle();
    throttle.overloaded(5_000);
    throttle.overloaded(1_000);
    const ran: string[] = [];
    const all = (['small', 'read', 'write'] as const).map((lane) =>
      throttle.run(lane, {signal: NEVER}, () => Promise.resolve(ran.push(lane))),
    );
    await vi.advanceTimersByTimeAsync(4_999);
    expect(ran).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    await Promise.all(all);
    expect(ran.sort()).toEqual(['read', 'small', 'write']);
  });

  it('lets those leave whose run is to stop while the host is held, and only then', async () => {
    using throttle = new Throttle();
    for (let n = 0; n < 10; n++) throttle.overloaded();
    const stopping = new AbortController();
    const stoppable = {signal: NEVER, stopping: stopping.signal};
    const first = Promise.withResolvers<void>();
    const began: string[] = [];
    const run = (name: string, call: Call, end: Promise<void> = Promise.resolve()) =>
      throttle.run('small', call, () => {
        began.push(name);
        return end;
      });
    const running = run('first', {signal: NEVER}, first.promise);
    let hasLeft = false;
    const left = run('left', stoppable).finally(() => {
      hasLeft = true;
    });
    const stayed = run('stayed', {signal: NEVER});
    stopping.abort();
    // It waits for a slot, not for a host.
    await new Promise(setImmediate);
    expect(hasLeft).toBe(false);
    throttle.overloaded(5_000);
    await expect(left).rejects.toMatchObject({code: 'INTERRUPTED'});
    await expect(run('late', stoppable)).rejects.toMatchObject({code: 'INTERRUPTED'});
    first.resolve();
    await vi.advanceTimersByTimeAsync(5_000);
    await Promise.all([running, stayed]);
    expect(began).toEqual(['first', 'stayed']);
  });

  it('holds longer for each refusal without a time, up to 30 s, and less again after good answers', async () => {
    using throttle = new Throttle(250);
    const pauses = [];
    for (let n = 0; n < 7; n++) {
      pauses.push(throttle.refused());
      await vi.advanceTimersByTimeAsync(pauses.at(-1) ?? 0);
    }
    expect(pauses).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    for (let n = 0; n < 6; n++) throttle.succeeded();
    expect(throttle.refused()).toBe(2000);
  });

  it('is held no longer by refusals that were on their way', async () => {
    using throttle = new Throttle(250);
    throttle.refused();
    await vi.advanceTimersByTimeAsync(400);
    expect(throttle.refused()).toBe(600);
    await vi.advanceTimersByTimeAsync(600);
    expect(throttle.isHeld).toBe(false);
  });

  it('reports how long the host has refused without Retry-After', async () => {
    using throttle = new Throttle(250);
    throttle.refused();
    await vi.advanceTimersByTimeAsync(5000);
    throttle.refused();
    expect(throttle.unannouncedMs).toBe(5000);
    throttle.overloaded(2000);
    expect([throttle.unannouncedMs, throttle.overloadedMs]).toEqual([0, 5000]);
    throttle.refused();
    await vi.advanceTimersByTimeAsync(3000);
    expect(throttle.unannouncedMs).toBe(3000);
    throttle.succeeded();
    expect(throttle.unannouncedMs).toBe(0);
  });

  it('reports how long the host has been overloaded without a success', async () => {
    using throttle = new Throttle(250);
    expect(throttle.overloadedMs).toBe(0);
    throttle.refused();
    await vi.advanceTimersByTimeAsync(5000);
    throttle.overloaded();
    expect(throttle.overloadedMs).toBe(5000);
    throttle.succeeded();
    expect(throttle.overloadedMs).toBe(0);
  });
});
