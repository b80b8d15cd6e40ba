import {describe, expect, it} from 'vitest';
import {interrupted} from '../../src/model/error.ts';
import {settleAll} from '../../src/observe/at-once.ts';

describe('settleAll', () => {
  it('waits for every one before it throws', async () => {
    const {promise, resolve} = Promise.withResolvers<void>();
    let isOver = false;
    const all = settleAll([Promise.reject(new Error('first')), promise]).catch((error: unknown) => {
      isOver = true;
      return error;
    });
    await new Promise(setImmediate);
    expect(isOver).toBe(false);
    resolve();
    expect(await all).toMatchObject({message: 'first'});
  });

  it('throws a failure rather than an interruption', async () => {
    const all = settleAll([Promise.reject(interrupted()), Promise.reject(new Error('real'))]);
    await expect(all).rejects.toThrow('real');
  });

  it('throws the interruption where there is nothing else', async () => {
    await expect(settleAll([Promise.reject(interrupted())])).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
  });
});
