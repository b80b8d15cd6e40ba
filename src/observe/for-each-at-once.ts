/**
 * Does the work for each item, for `limit` of them at once, in their order. Where one fails no other is begun, and those
 * under way come to their end: what they bring may have cost a part of a quota. Not p-queue, whose events cost more than a
 * small request.
 * @throws what the first work that fails throws
 */
export async function forEachAtOnce<T>(
  items: Iterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  // One for all workers: whoever leaves its loop by an error ends it for the others.
  const left = each(items);
  const failures: unknown[] = [];
  await Promise.all(
    Array.from({length: limit}, async () => {
      try {
        for (const item of left) await work(item);
      } catch (error) {
        failures.push(error);
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
}

function* each<T>(items: Iterable<T>): Generator<T, void, undefined> {
  yield* items;
}
