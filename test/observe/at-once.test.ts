import PQueue from 'p-queue';
import {expect, it} from 'vitest';
import {mapAtOnce, mapInQueue} from '../../src/observe/at-once.ts';

const turn = () => new Promise((go) => setImmediate(go));

/** Work that is under way until it is told to end. */
function gates() {
  const begun = new Map<number, PromiseWithResolvers<void>>();
  const work = (item: number) => {
    const gate = Promise.withResolvers<void>();
    begun.set(item, gate);
    return gate.promise;
  };
  return {begun, work};
}

it('begins as many as may be under way, in their order, and the next when one has ended', async () => {
  const {begun, work} = gates();
  const all = mapAtOnce([1, 2, 3, 4], 2, work);
  expect([...begun.keys()]).toEqual([1, 2]);
  begun.get(2)?.resolve();
  await turn();
  expect([...begun.keys()]).toEqual([1, 2, 3]);
  begun.get(1)?.resolve();
  await turn();
  begun.get(3)?.resolve();
  begun.get(4)?.resolve();
  await all;
});

it('begins no other when one has failed, and waits for those under way', async () => {
  const {begun, work} = gates();
  let isOver = false;
  const all = mapAtOnce([1, 2, 3, 4], 2, work).finally(() => {
    isOver = true;
  });
  all.catch(() => undefined);
  begun.get(1)?.reject(new Error('no'));
  await turn();
  expect(isOver).toBe(false);
  begun.get(2)?.resolve();
  await expect(all).rejects.toThrow('no');
  expect([...begun.keys()]).toEqual([1, 2]);
});

it('reports the first failure', async () => {
  const {begun, work} = gates();
  const all = mapAtOnce([1, 2], 2, work);
  begun.get(2)?.reject(new Error('first'));
  await turn();
  begun.get(1)?.reject(new Error('second'));
  await expect(all).rejects.toThrow('first');
});

it('ends immediately without items', async () => {
  const {begun, work} = gates();
  await mapAtOnce([], 2, work);
  expect(begun.size).toBe(0);
});

it('returns the results in the order of the items', async () => {
  const {begun, work} = gates();
  const all = mapAtOnce([1, 2], 2, async (item) => {
    await work(item);
    return item * 10;
  });
  begun.get(2)?.resolve();
  await turn();
  begun.get(1)?.resolve();
  expect(await all).toEqual([10, 20]);
});

it('keeps as many going in a queue that several lists share, and a failure ends its own list', async () => {
  const {begun, work} = gates();
  const queue = new PQueue({concurrency: 2});
  const one = mapInQueue(queue, [1, 2, 3], work);
  const other = mapInQueue(queue, [10], (item) => work(item).then(() => item));
  one.catch(() => undefined);
  expect([...begun.keys()]).toEqual([1, 2]);
  begun.get(1)?.reject(new Error('no'));
  begun.get(2)?.resolve();
  await turn();
  expect([...begun.keys()]).toEqual([1, 2, 10]);
  await expect(one).rejects.toThrow('no');
  begun.get(10)?.resolve();
  expect(await other).toEqual([10]);
});
