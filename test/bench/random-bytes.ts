import {createCipheriv, createHash} from 'node:crypto';

const ZEROS = Buffer.alloc(8 * 1024 * 1024);
/** With it a layer passes for gzip, so that no tool compresses it anew. */
const GZIP_HEAD = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);

/** A layer's bytes: the same for the same seed, and such that nothing makes them smaller. */
export function* randomLayer(
  seed: string,
  size: number,
): Generator<Buffer<ArrayBuffer>, void, undefined> {
  const key = createHash('sha256').update(seed).digest();
  const stream = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  for (let left = size; left > 0; left -= ZEROS.byteLength) {
    const chunk = stream.update(left < ZEROS.byteLength ? ZEROS.subarray(0, left) : ZEROS);
    if (left === size) GZIP_HEAD.copy(chunk);
    yield chunk;
  }
}
