/**
 * Does the work for each item, for `limit` of them at once, in their order. Where one fails no other is begun. Not
 * p-queue, whose events cost more than a small request.
 * @throws what the first work that fails throws, while others are still under way
 */
export async function forEachAtOnce<T>(
  items: Iterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  // One for all workers: whoever leaves its loop by an error ends it for the others.
  const left = each(items);
  await Promise.all(
    Array.from({length: limit}, async () => {
      for (const item of left) await work(item);
    }),
  );
}

function* each<T>(items: Iterable<T>): Generator<T, void, undefined> {
  yield* items;
}
