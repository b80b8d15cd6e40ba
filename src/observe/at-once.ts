/**
 * Does the work for each item, `limit` of them at once, in their order. Once one fails, no other is begun, and those under
 * way come to their end: what they bring may have cost a part of a quota. Of items that wait nothing is held but
 * themselves: there may be 100,000.
 * @param limit at least 1
 * @returns the results, in the order of the items
 * @throws what the first work that fails throws
 */
export async function mapAtOnce<T, R>(
  items: Iterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const waiting = [...items];
  const results: R[] = [];
  let begun = 0;
  let failure: {readonly error: unknown} | undefined;
  const worker = async (): Promise<void> => {
    while (begun < waiting.length && failure === undefined) {
      const at = begun++;
      try {
        results[at] = await work(waiting[at] as T);
      } catch (error) {
        failure ??= {error};
      }
    }
  };
  await Promise.all(Array.from({length: Math.min(limit, waiting.length)}, worker));
  if (failure !== undefined) throw failure.error;
  return results;
}
