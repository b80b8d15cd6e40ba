import {describe, expect, it} from 'vitest';
import {abortable} from '../../src/http/abort.ts';
import {SingleFlight} from '../../src/http/single-flight.ts';
import {NEVER} from '../support/streams.ts';

describe('SingleFlight', () => {
  it('runs a task once for all who wait, and anew afterwards', async () => {
    const flights = new SingleFlight<number>();
    let runs = 0;
    const gate = Promise.withResolvers<void>();
    const task = async () => {
      runs++;
      await gate.promise;
      return runs;
    };
    const all = [1, 2, 3].map(() => flights.run('key', NEVER, task));
    gate.resolve();
    expect(await Promise.all(all)).toEqual([1, 1, 1]);
    expect(await flights.run('key', NEVER, task)).toBe(2);
  });

  it('passes a failure to all, and does not cache it', async () => {
    const flights = new SingleFlight<string>();
    const all = [1, 2].map(() => flights.run('key', NEVER, () => Promise.reject(new Error('no'))));
    expect((await Promise.allSettled(all)).map(({status}) => status)).toEqual([
      'rejected',
      'rejected',
    ]);
    expect(await flights.run('key', NEVER, () => Promise.resolve('yes'))).toBe('yes');
  });

  it('continues while one caller waits, and is aborted without callers', async () => {
    const flights = new SingleFlight<void>();
    const [one, other] = [new AbortController(), new AbortController()];
    let taskSignal: AbortSignal | undefined;
    const task = (signal: AbortSignal) => {
      taskSignal = signal;
      return new Promise<void>(() => undefined);
    };
    const first = flights.run('key', one.signal, task);
    const second = flights.run('key', other.signal, task);
    one.abort(new Error('one'));
    await expect(first).rejects.toThrow('one');
    expect(taskSignal?.aborted).toBe(false);
    other.abort(new Error('other'));
    await expect(second).rejects.toThrow('other');
    expect(taskSignal?.aborted).toBe(true);
  });
});

describe('abortable', () => {
  it('rejects with the reason, before and after the beginning', async () => {
    const reason = new Error('enough');
    await expect(abortable(Promise.resolve(1), AbortSignal.abort(reason))).rejects.toBe(reason);
    const controller = new AbortController();
    const waiting = abortable(new Promise(() => undefined), controller.signal);
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });
});
