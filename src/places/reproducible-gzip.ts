import {pipeline} from 'node:stream/promises';
import {crc32, createDeflateRaw} from 'node:zlib';

/**
 * What every file begins with (RFC 1952, 2.3): deflate, no name, no time, and 255 for the system. zlib would write the
 * system that it was built for.
 */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
/** zlib's default, as docker pushes layers with it. */
const LEVEL = 6;
const CHUNK_SIZE = 256 * 1024;

/**
 * Compresses bytes with gzip, so that the same bytes always give the same result, in whatever pieces they come. That holds
 * for one version of zlib and one kind of processor: the format leaves it to the compressor how it finds repetitions.
 */
export async function* gzipped(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let checksum = 0;
  let length = 0;
  const checked = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      checksum = crc32(chunk, checksum);
      length += chunk.byteLength;
      yield chunk;
    }
  };
  yield HEADER;
  const deflate = createDeflateRaw({level: LEVEL, chunkSize: CHUNK_SIZE});
  const feeding = pipeline(checked, deflate);
  // It is awaited below; when the reader stops early, it ends with an error that tells nothing.
  feeding.catch(() => undefined);
  yield* deflate as AsyncIterable<Uint8Array>;
  await feeding;
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(checksum, 0);
  trailer.writeUInt32LE(length % 2 ** 32, 4);
  yield trailer;
}
