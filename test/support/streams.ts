/** A signal that never aborts. */
export const NEVER: AbortSignal = new AbortController().signal;

/** All bytes of a stream; for small test data only. */
export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  // A chunk may be borrowed.
  for await (const chunk of chunks) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

/** A stream of the given chunks that then ends, or fails with `failure`. */
export async function* streamOf(
  chunks: Iterable<Uint8Array>,
  failure?: Error,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks;
  if (failure !== undefined) throw failure;
}
