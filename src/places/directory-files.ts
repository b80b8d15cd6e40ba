import {type FileHandle, lstat, readdir, realpath, stat} from 'node:fs/promises';
import {dirname, join, resolve, sep} from 'node:path';
import {openRegular} from '../http/regular-file.ts';
import {type Side, TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';
import {hasCode, isMissing, unreadable} from './file-error.ts';
import type {PlaceFiles} from './stored-repository.ts';

/** The directory for unfinished blobs and the lock. Other tools ignore it. It may be deleted while no run is active. */
export const SCRATCH = '.transship';

/** Bytes per read of a file: a compromise between system calls and memory. */
const READ_SIZE = 256 * 1024;

/** The files of a directory of images. Links to files outside of it are refused. */
export class DirectoryFiles implements PlaceFiles {
  readonly #directory: string;
  readonly #side: Side;

  constructor(directory: string, side: Side) {
    this.#directory = directory;
    this.#side = side;
  }

  nameOf(path: string): string {
    return join(this.#directory, path);
  }

  async size(path: string): Promise<number | undefined> {
    const file = this.nameOf(path);
    await refuseWayOut(this.#directory, file, this.#side);
    try {
      const stats = await stat(file);
      return stats.isFile() ? stats.size : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw unreadable(file, error);
    }
  }

  async read(
    path: string,
    limit: number,
  ): Promise<Uint8Array | {readonly size: number} | undefined> {
    const size = await this.size(path);
    if (size === undefined || size > limit) return size === undefined ? undefined : {size};
    try {
      await using file = await this.#open(path);
      // One byte more than there was, to see one that grows.
      const bytes = await readAt(file, 0, Math.min(size, limit) + 1, this.nameOf(path));
      return bytes.byteLength > limit ? {size: bytes.byteLength} : bytes;
    } catch (error) {
      if (error instanceof TransshipError && isMissing(error.cause)) return undefined;
      throw error;
    }
  }

  /** The file is opened when the first chunk is requested, so that an unread stream holds no resources. */
  async *stream(
    path: string,
    offset: number,
    end: number,
    call: Call,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const name = this.nameOf(path);
    await using file = await this.#open(path);
    let position = offset;
    while (position < end) {
      call.signal.throwIfAborted();
      const chunk = await readAt(file, position, Math.min(READ_SIZE, end - position), name);
      if (chunk.byteLength === 0) return;
      position += chunk.byteLength;
      yield chunk;
    }
  }

  /**
   * Opens a file within the directory. It is checked once it is open: between a check of its path and the opening,
   * somebody may have put a link there.
   */
  async #open(path: string): Promise<FileHandle> {
    const name = this.nameOf(path);
    const file = await openRegular(name).catch((error: unknown) => {
      throw unreadable(name, error);
    });
    try {
      const found = await refuseWayOut(this.#directory, name, this.#side);
      const opened = await file.stat();
      const there = found === undefined ? undefined : await lstat(found);
      if (opened.ino === there?.ino && opened.dev === there.dev) return file;
      throw wayOut(this.#directory, name, this.#side);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The names in the directory; none if it does not exist. @throws TransshipError FILE_UNREADABLE */
  async names(): Promise<readonly string[]> {
    try {
      return await readdir(this.#directory);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return [];
      throw unreadable(this.#directory, error);
    }
  }
}

/** Up to `length` bytes in a separate buffer, since the reader may keep it; fewer: end of the file. */
async function readAt(
  file: FileHandle,
  position: number,
  length: number,
  path: string,
): Promise<Uint8Array> {
  try {
    const buffer = Buffer.allocUnsafeSlow(length);
    let done = 0;
    while (done < length) {
      const {bytesRead} = await file.read(buffer, done, length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return buffer.subarray(0, done);
  } catch (error) {
    throw unreadable(path, error);
  }
}

/**
 * Checks that a file or directory in a directory of images, or its nearest existing ancestor, is within that directory.
 * A layout from an untrusted source may contain links to files of this machine, which would be sent to a registry, or
 * to directories, which would be written to. Links within the directory are allowed, and the directory itself may be a
 * link.
 * @param directory an image layout, or the directory of a `dir:`
 * @returns the path with links resolved, or that of the directory above
 * @throws TransshipError FILE_INVALID, FILE_UNREADABLE
 */
export async function refuseWayOut(
  directory: string,
  path: string,
  side: Side,
): Promise<string | undefined> {
  const root = await target(directory);
  if (root === undefined) return undefined;
  let found = await target(path);
  for (let above = resolve(path); found === undefined && above !== resolve(directory); ) {
    above = dirname(above);
    found = await target(above);
  }
  if (found === undefined || found === root || found.startsWith(join(root, sep))) return found;
  throw wayOut(directory, path, side);
}

function wayOut(directory: string, path: string, side: Side): TransshipError {
  return new TransshipError('FILE_INVALID', `${path} is a link to a file outside of ${directory}`, {
    side,
    hint: 'replace it with the file itself, or get the images again from a trusted source',
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
