import PQueue from 'p-queue';
import {isInterrupted} from '../model/error.ts';

/**
 * Runs `work` for each item, `limit` of them concurrently, in order. After a failure, no further work is started, and
 * running work is completed, since it may have used a quota. Items are taken from the iterable only when they can start
 * soon, so there may be 100,000 of them.
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

/** As `mapAtOnce`, with a shared queue, whose limit applies to all of its users together. */
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
    // Refilled when it is half empty, rather than for each item.
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
 * Waits until all promises have settled, so that no work continues unobserved, then throws the first failure. An
 * interruption is thrown only if there is no other failure.
 */
export async function settleAll(promises: readonly Promise<unknown>[]): Promise<void> {
  const settled = await Promise.allSettled(promises);
  const failures = settled.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  if (failures.length > 0) throw failures.find((failure) => !isInterrupted(failure)) ?? failures[0];
}
