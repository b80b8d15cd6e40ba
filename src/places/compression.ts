import {createWriteStream} from 'node:fs';
import type {FileHandle} from 'node:fs/promises';
import {join} from 'node:path';
import type {Duplex} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {crc32, createDeflateRaw, createGunzip, createZstdDecompress} from 'node:zlib';
import {openRegular} from '../http/regular-file.ts';
import {removeFile} from './durable-file.ts';

/** Maximum ratio of decompressed to compressed size of an archive: most layers are already compressed. */
const EXPANSION_LIMIT = 100;
/** The same for a layer, which is not written to disk: the maximum of gzip (RFC 1951: 258 bytes in 2 bits). */
const LAYER_EXPANSION_LIMIT = 1032;
/** Decompressed size that is allowed regardless of the ratio, in bytes. */
const EXPANSION_FREE = 64 * 1024 * 1024;

/** A compression format. */
export interface Compression {
  readonly name: string;
  readonly magic: readonly number[];
  /** Undefined: Node cannot decompress it. */
  readonly decoder?: () => Duplex;
}

const COMPRESSIONS: readonly Compression[] = [
  {name: 'gzip', magic: [0x1f, 0x8b], decoder: () => createGunzip()},
  {name: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd], decoder: () => createZstdDecompress()},
  {name: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]},
  {name: 'bzip2', magic: [0x42, 0x5a, 0x68]},
];

/** Number of bytes at the beginning of a file that identify its compression. */
export const MAGIC_SIZE = 8;

/** The compression of a file; undefined: none. @param head its first `MAGIC_SIZE` bytes */
export function compressionOf(head: Uint8Array): Compression | undefined {
  return COMPRESSIONS.find(({magic}) => magic.every((byte, at) => head[at] === byte));
}

/** A file that is deleted on disposal. */
interface TemporaryFile extends AsyncDisposable {
  readonly file: FileHandle;
}

/**
 * Decompresses a file into a temporary file, which has a known size and supports random access.
 * @param directory for that file; not accessible to others
 * @returns undefined: the file is not compressed
 * @throws Error if the file is damaged, too large, or has a compression that Node cannot decompress
 */
export async function decompress(
  file: FileHandle,
  directory: string,
  signal: AbortSignal,
): Promise<TemporaryFile | undefined> {
  const {buffer} = await file.read(Buffer.alloc(MAGIC_SIZE), 0, MAGIC_SIZE, 0);
  const found = compressionOf(buffer);
  if (found === undefined) return undefined;
  const path = join(directory, 'decompressed.tar');
  await using parts = new AsyncDisposableStack();
  parts.defer(() => removeFile(path));
  const limit = EXPANSION_FREE + EXPANSION_LIMIT * (await file.stat()).size;
  const bytes = file.createReadStream({start: 0, autoClose: false});
  const output = createWriteStream(path, {flags: 'wx'});
  await pipeline(bytes, decoderOf(found), (pieces) => upTo(limit, pieces), output, {signal});
  const content = parts.use(await openRegular(path, {noFollow: true}));
  const owned = parts.move();
  return {file: content, [Symbol.asyncDispose]: () => owned.disposeAsync()};
}

/**
 * The decompressed bytes of a layer.
 * @param size its compressed size, in bytes
 * @throws Error as `decompress`
 */
export async function* decompressed(
  chunks: AsyncIterable<Uint8Array>,
  compression: Compression,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const decoder = decoderOf(compression);
  const feeding = pipeline(chunks, decoder);
  // Its failure also fails the decoder, and is thrown there.
  feeding.catch(() => undefined);
  yield* upTo(EXPANSION_FREE + LAYER_EXPANSION_LIMIT * size, decoder);
  await feeding;
}

function decoderOf({name, decoder}: Compression): Duplex {
  if (decoder !== undefined) return decoder();
  throw new Error(`it is compressed with ${name}; decompress it first`);
}

/** Limits the decompressed size, since a few kilobytes can expand to fill the disk. */
async function* upTo(limit: number, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const piece of pieces) {
    length += piece.byteLength;
    if (length > limit)
      throw new Error(`it has more than ${limit} bytes; decompress it first to read it anyway`);
    yield piece;
  }
}

/**
 * The header of every file (RFC 1952, 2.3): deflate, no name, no time, and 255 for an unknown system. zlib would write
 * the system that it was built for.
 */
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
/** zlib's default, with which docker compresses layers. */
const GZIP_LEVEL = 6;
const GZIP_CHUNK = 256 * 1024;

/**
 * Compresses bytes with gzip reproducibly: the same bytes give the same result, however they are split into chunks.
 * This holds for one version of zlib on one kind of processor, since the format does not determine how a compressor
 * finds repetitions.
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
  yield GZIP_HEADER;
  const deflate = createDeflateRaw({level: GZIP_LEVEL, chunkSize: GZIP_CHUNK});
  const feeding = pipeline(checked, deflate);
  // Awaited below, unless the reader stops early, in which case its error is irrelevant.
  feeding.catch(() => undefined);
  yield* deflate as AsyncIterable<Uint8Array>;
  await feeding;
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(checksum, 0);
  trailer.writeUInt32LE(length % 2 ** 32, 4);
  yield trailer;
}
