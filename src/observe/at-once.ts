import PQueue from 'p-queue';
import {isInterrupted} from '../model/error.ts';

/**
 * Does the work for each item, `limit` of them at once, in their order. Once one fails, no other is begun, and those under
 * way come to their end: what they bring may have cost a part of a quota.
 * @param limit at least 1
 * @returns the results, in the order of the items
 * @throws what the first work that fails throws
 */
export async function mapAtOnce<T, R>(
  items: Iterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const queue = new PQueue({concurrency: limit});
  const task = async (item: T): Promise<R> => {
    try {
      return await work(item);
    } catch (error) {
      // Not cleared: that would reject the others before this one.
      queue.pause();
      throw error;
    }
  };
  try {
    return await queue.addAll([...items].map((item) => () => task(item)));
  } catch (error) {
    await queue.onPendingZero();
    throw error;
  }
}

/**
 * Waits until every one has settled, then throws the first failure: nothing goes on unobserved behind a failed step. What
 * was only interrupted hides no failure.
 */
export async function settleAll(promises: readonly Promise<unknown>[]): Promise<void> {
  const settled = await Promise.allSettled(promises);
  const failures = settled.flatMap((result) =>
    result.status === 'rejected' ? [result.reason as unknown] : [],
  );
  if (failures.length > 0) throw failures.find((failure) => !isInterrupted(failure)) ?? failures[0];
}
