import PQueue from 'p-queue';
import {isInterrupted} from '../model/error.ts';

/**
 * Does the work for each item, `limit` of them at once, in their order. After a failure, no more work is started, and
 * running work is completed, since its results may have used a quota. Waiting items hold no other resources: there may
 * be 100,000.
 * @param limit at least 1
 * @returns the results, in the order of the items
 * @throws the first error
 */
export async function mapAtOnce<T, R>(
  items: Iterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  return await mapInQueue(new PQueue({concurrency: limit}), items, work);
}

/** The same with a shared queue, whose limit applies to all its users together. */
export async function mapInQueue<T, R>(
  queue: PQueue,
  items: Iterable<T>,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const underWay = new Set<Promise<void>>();
  let failure: {readonly error: unknown} | undefined;
  let count = 0;
  for (const item of items) {
    // Not for each item: a queue that is half empty has enough to go on with.
    if (queue.size >= queue.concurrency)
      await queue.onSizeLessThan(Math.ceil(queue.concurrency / 2));
    if (failure !== undefined) break;
    const at = count++;
    // The queue starts the next task before it reports a failure.
    const task = async (): Promise<void> => {
      if (failure !== undefined) return;
      try {
        results[at] = await work(item);
      } catch (error) {
        failure ??= {error};
      }
    };
    const added = queue.add(task).finally(() => underWay.delete(added));
    underWay.add(added);
  }
  await Promise.all(underWay);
  if (failure !== undefined) throw failure.error;
  return results;
}

/**
 * Waits until every one has settled, then throws the first failure: no work continues unobserved after a failure. An
 * interruption does not hide a failure.
 */
export async function settleAll(promises: readonly Promise<unknown>[]): Promise<void> {
  const settled = await Promise.allSettled(promises);
  const failures = settled.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  if (failures.length > 0) throw failures.find((failure) => !isInterrupted(failure)) ?? failures[0];
}
