import {createHash} from 'node:crypto';
import {type FileHandle, open, readFile, realpath, stat} from 'node:fs/promises';
import {dirname, join, resolve, sep} from 'node:path';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, finishDigest, hexOf} from '../model/digest.ts';
import {type Side, TransshipError} from '../model/error.ts';
import type {BlobStream, ByteRange, Call} from '../model/port.ts';
import {isMissing, unreadable} from './file-error.ts';

/** Bytes per read of a file: a compromise between system calls and memory. */
const READ_SIZE = 256 * 1024;

/** The `blobs` directory of a layout (image-spec image-layout.md, "Blobs"). Manifests are blobs there, too. */
export class LayoutBlobs {
  readonly #layout: string;
  readonly #directory: string;
  readonly #side: Side;

  constructor(layout: string, side: Side) {
    this.#layout = layout;
    this.#directory = join(layout, 'blobs');
    this.#side = side;
  }

  /** The path of the content, whether or not it exists. */
  path(digest: Digest): string {
    return join(this.#directory, algorithmOf(digest), hexOf(digest));
  }

  /**
   * Size in bytes; undefined: the file does not exist.
   * @throws TransshipError FILE_INVALID where it is a link to a file outside of the layout
   */
  async size(digest: Digest): Promise<number | undefined> {
    await refuseWayOut(this.#layout, this.path(digest), this.#side);
    try {
      const file = await stat(this.path(digest));
      return file.isFile() ? file.size : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw unreadable(this.path(digest), error);
    }
  }

  /**
   * Whether the content is there: a file of that size. Of one with another size the digest decides, since the size in a
   * manifest may be wrong.
   * @throws TransshipError FILE_INVALID, FILE_UNREADABLE
   */
  async has({digest, size}: Pick<Descriptor, 'digest' | 'size'>, call: Call): Promise<boolean> {
    const actual = await this.size(digest);
    if (actual === undefined || actual === size) return actual !== undefined;
    const algorithm = algorithmOf(digest);
    const hash = createHash(algorithm);
    for await (const chunk of readRange(this.path(digest), 0, actual, call)) hash.update(chunk);
    return finishDigest(hash, algorithm) === digest;
  }

  /** The whole content if it has at most `limit` bytes; else only its size. */
  async read(
    digest: Digest,
    limit: number,
  ): Promise<Uint8Array | {readonly size: number} | undefined> {
    const size = await this.size(digest);
    if (size === undefined || size > limit) return size === undefined ? undefined : {size};
    try {
      return await readFile(this.path(digest));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw unreadable(this.path(digest), error);
    }
  }

  /**
   * The file is opened when the first chunk is requested, so that an unread stream holds no resources.
   * @throws TransshipError BLOB_NOT_FOUND, BLOB_SIZE_MISMATCH
   */
  async open(blob: Descriptor, range: ByteRange, call: Call): Promise<BlobStream> {
    call.signal.throwIfAborted();
    const size = await this.size(blob.digest);
    if (size === undefined) {
      throw new TransshipError('BLOB_NOT_FOUND', `${this.path(blob.digest)} does not exist`, {
        side: this.#side,
        hint: 'the layout is incomplete; write the image into it again',
      });
    }
    if (size !== blob.size) {
      throw new TransshipError(
        'BLOB_SIZE_MISMATCH',
        `${this.path(blob.digest)} has ${size} bytes, the manifest says ${blob.size}`,
        {side: this.#side, hint: 'the file is damaged; write the image into the layout again'},
      );
    }
    const end = Math.min(range.end ?? size, size);
    return {
      start: range.offset,
      end,
      chunks: readRange(this.path(blob.digest), range.offset, end, call),
    };
  }
}

/** Each chunk is a buffer of its own, since the reader may keep it. */
async function* readRange(
  path: string,
  offset: number,
  end: number,
  call: Call,
): AsyncGenerator<Uint8Array, void, undefined> {
  await using file = await openFile(path);
  let position = offset;
  while (position < end) {
    call.signal.throwIfAborted();
    const chunk = await readAt(file, position, Math.min(READ_SIZE, end - position), path);
    if (chunk.byteLength === 0) return;
    position += chunk.byteLength;
    yield chunk;
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Up to `length` bytes; empty: end of the file. */
async function readAt(
  file: FileHandle,
  position: number,
  length: number,
  path: string,
): Promise<Uint8Array> {
  try {
    const buffer = Buffer.allocUnsafeSlow(length);
    const {bytesRead} = await file.read(buffer, 0, length, position);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/**
 * Makes sure that a file or folder of a layout, or the nearest folder above that is there, is within the layout: a layout
 * from somebody else may hold links to files of this machine, which would be sent to a registry, or to folders, which
 * would be written into. Links from one place of the layout to another are fine, and so is one to the layout itself.
 * @param layout the directory of the layout
 * @throws TransshipError FILE_INVALID, FILE_UNREADABLE
 */
export async function refuseWayOut(layout: string, path: string, side: Side): Promise<void> {
  const root = await target(layout);
  if (root === undefined) return;
  let found = await target(path);
  for (let above = resolve(path); found === undefined && above !== resolve(layout); ) {
    above = dirname(above);
    found = await target(above);
  }
  if (found === undefined || found === root || found.startsWith(join(root, sep))) return;
  throw new TransshipError('FILE_INVALID', `${path} is a link to a file outside of the layout`, {
    side,
    hint: 'replace it with the file itself, or get the layout again from a trusted source',
  });
}

/** The path with links resolved; undefined: it does not exist. */
async function target(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw unreadable(path, error);
  }
}
