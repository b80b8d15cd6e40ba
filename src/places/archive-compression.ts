import {createWriteStream} from 'node:fs';
import type {FileHandle} from 'node:fs/promises';
import {join} from 'node:path';
import type {Duplex} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {createGunzip, createZstdDecompress} from 'node:zlib';
import {openRegular} from '../http/regular-file.ts';
import {removeFile} from './durable-file.ts';

/** Maximum ratio of decompressed to compressed size: most layers are already compressed. */
const EXPANSION_LIMIT = 100;
/** Decompressed size that is allowed regardless of the ratio, in bytes. */
const EXPANSION_FREE = 64 * 1024 * 1024;

/** How a file is compressed, by its first bytes. */
const COMPRESSIONS: readonly {
  readonly name: string;
  readonly magic: readonly number[];
  /** Undefined: Node does not read it. */
  readonly decoder?: () => Duplex;
}[] = [
  {name: 'gzip', magic: [0x1f, 0x8b], decoder: () => createGunzip()},
  {name: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd], decoder: () => createZstdDecompress()},
  {name: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]},
  {name: 'bzip2', magic: [0x42, 0x5a, 0x68]},
];

/** A file that is deleted on disposal. */
interface PassingFile extends AsyncDisposable {
  readonly file: FileHandle;
}

/**
 * Decompresses a file into a temporary file, which has a known size and supports random access.
 * @param directory of nobody else, for that file
 * @returns undefined: the file is not compressed
 * @throws Error where it is damaged, too large, or compressed in a way that Node does not read
 */
export async function decompress(
  file: FileHandle,
  directory: string,
  signal: AbortSignal,
): Promise<PassingFile | undefined> {
  const {buffer, bytesRead} = await file.read(Buffer.alloc(8), 0, 8, 0);
  const found = COMPRESSIONS.find(
    ({magic}) => bytesRead >= magic.length && magic.every((byte, at) => buffer[at] === byte),
  );
  if (found === undefined) return undefined;
  const {name, decoder} = found;
  if (decoder === undefined) throw new Error(`it is compressed with ${name}; decompress it first`);
  const path = join(directory, 'decompressed.tar');
  await using parts = new AsyncDisposableStack();
  parts.defer(() => removeFile(path));
  const limit = EXPANSION_FREE + EXPANSION_LIMIT * (await file.stat()).size;
  const bytes = file.createReadStream({start: 0, autoClose: false});
  const output = createWriteStream(path, {flags: 'wx'});
  await pipeline(bytes, decoder(), (pieces) => upTo(limit, pieces), output, {signal});
  const content = parts.use(await openRegular(path, {noFollow: true}));
  const owned = parts.move();
  return {file: content, [Symbol.asyncDispose]: () => owned.disposeAsync()};
}

/** A few kilobytes can expand to fill the disk. */
async function* upTo(limit: number, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const piece of pieces) {
    length += piece.byteLength;
    if (length > limit)
      throw new Error(`it has more than ${limit} bytes; decompress it first to read it anyway`);
    yield piece;
  }
}
