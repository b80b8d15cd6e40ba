import {promisify} from 'node:util';
import zlib, {type InputType} from 'node:zlib';

type Decode = (bytes: InputType, options: {maxOutputLength: number}) => Promise<Uint8Array>;

const DECODERS: Readonly<Record<string, Decode>> = {
  gzip: promisify(zlib.gunzip),
  'x-gzip': promisify(zlib.gunzip),
  deflate: promisify(zlib.inflate),
  br: promisify(zlib.brotliDecompress),
  zstd: promisify(zlib.zstdDecompress),
};

/** A body is encoded so many times at most: no server has a reason for more. */
const MOST_ENCODINGS = 2;

/** The encodings in a `Content-Encoding` header, in the order in which they were applied, without `identity`. */
export function contentEncodings(header: string | undefined): readonly string[] {
  const names = (header ?? '').split(',').map((name) => name.trim().toLowerCase());
  return names.filter((name) => name !== '' && name !== 'identity');
}

/**
 * Undoes the encodings of a body that is in memory. Some servers compress although `identity` was asked for; others say
 * so of bytes that they send as they are.
 * @param limit bytes of what comes out, at most
 * @returns the bytes as they came where they are not encoded as said, or in a way that Node does not know; undefined: more
 *   than the limit came out
 */
export async function decodeBody(
  bytes: Uint8Array,
  encodings: readonly string[],
  limit: number,
): Promise<Uint8Array | undefined> {
  if (encodings.length > MOST_ENCODINGS) return bytes;
  try {
    let decoded = bytes;
    for (const encoding of encodings.toReversed())
      decoded = await decodeOnce(decoded, encoding, limit);
    return decoded;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    return bytes;
  }
}

async function decodeOnce(
  bytes: Uint8Array,
  encoding: string,
  maxOutputLength: number,
): Promise<Uint8Array> {
  const decode = DECODERS[encoding];
  if (decode === undefined) throw new Error(`no decoder for ${encoding}`);
  return await decode(bytes, {maxOutputLength});
}
