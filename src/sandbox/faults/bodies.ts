type Body = AsyncIterable<Uint8Array>;

/** Passes so many bytes on, then does `atMark` and passes on the rest. */
export async function* marked(
  body: Body,
  after: number,
  atMark: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  let left = after;
  let isPassed = false;
  for await (const chunk of body) {
    if (isPassed || chunk.byteLength < left) {
      left -= chunk.byteLength;
      yield chunk;
      continue;
    }
    isPassed = true;
    if (left > 0) yield chunk.subarray(0, left);
    await atMark();
    if (left < chunk.byteLength) yield chunk.subarray(left);
  }
}

/** Passes so many bytes on and then fails; so does a body that is shorter. */
export async function* cut(body: Body, after: number): AsyncGenerator<Uint8Array> {
  yield* marked(body, after, () => Promise.reject(new Error('cut by a fault')));
  throw new Error('cut by a fault');
}

/** Changes one bit of the byte at `at`, if there is one. */
export async function* flipped(body: Body, at: number): AsyncGenerator<Uint8Array> {
  let position = 0;
  for await (const chunk of body) {
    const index = at - position;
    position += chunk.byteLength;
    if (index < 0 || index >= chunk.byteLength) {
      yield chunk;
    } else {
      const changed = Uint8Array.from(chunk);
      changed[index] = (changed[index] ?? 0) ^ 1;
      yield changed;
    }
  }
}

/** Reads so many bytes of a body, or all where it is shorter, and leaves the rest. */
export async function readSome(body: Body, bytes: number): Promise<void> {
  if (bytes === 0) return;
  let left = bytes;
  for await (const chunk of body) {
    left -= chunk.byteLength;
    if (left <= 0) return;
  }
}
