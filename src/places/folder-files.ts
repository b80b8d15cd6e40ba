import {type FileHandle, open, readdir, readFile, realpath, stat} from 'node:fs/promises';
import {dirname, join, resolve, sep} from 'node:path';
import {type Side, TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';
import {hasCode, isMissing, unreadable} from './file-error.ts';
import type {PlaceFiles} from './stored-repository.ts';

/** The folder for unfinished blobs and the lock. Other tools ignore it. It may be deleted while no run is active. */
export const SCRATCH = '.transship';

/** Bytes per read of a file: a compromise between system calls and memory. */
const READ_SIZE = 256 * 1024;

/** The files of a folder of images. Links to files outside of it are refused. */
export class FolderFiles implements PlaceFiles {
  readonly #folder: string;
  readonly #side: Side;

  constructor(folder: string, side: Side) {
    this.#folder = folder;
    this.#side = side;
  }

  nameOf(path: string): string {
    return join(this.#folder, path);
  }

  async size(path: string): Promise<number | undefined> {
    const file = this.nameOf(path);
    await refuseWayOut(this.#folder, file, this.#side);
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
    const file = this.nameOf(path);
    try {
      return await readFile(file);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw unreadable(file, error);
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
    await using file = await openFile(name);
    let position = offset;
    while (position < end) {
      call.signal.throwIfAborted();
      const chunk = await readAt(file, position, Math.min(READ_SIZE, end - position), name);
      if (chunk.byteLength === 0) return;
      position += chunk.byteLength;
      yield chunk;
    }
  }

  /** The names in the folder; none if it does not exist. @throws TransshipError FILE_UNREADABLE */
  async names(): Promise<readonly string[]> {
    try {
      return await readdir(this.#folder);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return [];
      throw unreadable(this.#folder, error);
    }
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** Up to `length` bytes in a separate buffer, since the reader may keep it; empty: end of the file. */
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
 * Checks that a file or folder in a folder of images, or its nearest existing ancestor, is within that folder. A layout
 * from an untrusted source may contain links to files of this machine, which would be sent to a registry, or to
 * folders, which would be written to. Links within the folder are allowed, and the folder itself may be a link.
 * @param folder an image layout, or the folder of a `dir:`
 * @throws TransshipError FILE_INVALID, FILE_UNREADABLE
 */
export async function refuseWayOut(folder: string, path: string, side: Side): Promise<void> {
  const root = await target(folder);
  if (root === undefined) return;
  let found = await target(path);
  for (let above = resolve(path); found === undefined && above !== resolve(folder); ) {
    above = dirname(above);
    found = await target(above);
  }
  if (found === undefined || found === root || found.startsWith(join(root, sep))) return;
  throw new TransshipError('FILE_INVALID', `${path} is a link to a file outside of ${folder}`, {
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
