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

/** Maximum number of encodings of a body, to bound the work; servers have no reason to apply more. */
const MOST_ENCODINGS = 2;

/** The encodings in a `Content-Encoding` header, in the order in which they were applied, without `identity`. */
export function contentEncodings(header: string | undefined): readonly string[] {
  const names = (header ?? '').split(',').map((name) => name.trim().toLowerCase());
  return names.filter((name) => name !== '' && name !== 'identity');
}

/**
 * Decodes a body in memory. Some servers compress although `identity` was requested; others declare an encoding for
 * bytes that they send unencoded.
 * @param limit maximum size of the result in bytes
 * @returns the bytes unchanged if they are not encoded as declared, or if Node does not know the encoding; undefined:
 *   the result exceeds the limit
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
