/**
 * Joins small chunks into pieces of up to `size` bytes, so that a file is written in few calls. A piece is valid only
 * until the next one is asked for: its memory is used again. Chunks of `size` or more pass as they are. When `body`
 * fails, what was gathered is given out first.
 */
export async function* gathered(
  body: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = Buffer.allocUnsafe(size);
  let filled = 0;
  let failure: {readonly error: unknown} | undefined;
  try {
    for await (const chunk of body) {
      if (filled + chunk.byteLength > size && filled > 0) {
        yield buffer.subarray(0, filled);
        filled = 0;
      }
      if (chunk.byteLength >= size) {
        yield chunk;
      } else {
        buffer.set(chunk, filled);
        filled += chunk.byteLength;
      }
    }
  } catch (error) {
    failure = {error};
  }
  if (filled > 0) yield buffer.subarray(0, filled);
  if (failure !== undefined) throw failure.error;
}
