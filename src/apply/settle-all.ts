import {isInterrupted} from '../model/interrupted.ts';

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
