import {constants} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';

/** Why a file is not read, as a clause: `is a pipe`. */
export class FileKindError extends Error {
  override readonly name = 'FileKindError';
}

export interface OpenOptions {
  /** Do not follow a link at the end of the path: it is a FileKindError. Default: follow it. */
  readonly noFollow?: boolean;
  /** Accept a pipe, such as a shell's `<(command)`. Default: no, since a pipe without a writer never ends. */
  readonly pipe?: boolean;
}

/**
 * Opens an untrusted file for reading. It must be a regular file: a pipe could block forever, and a device may have no
 * end.
 * @throws FileKindError, or the system's error
 */
export async function openRegular(path: string, options: OpenOptions = {}): Promise<FileHandle> {
  // Windows has neither of the last two: as numbers, undefined is none.
  const {O_RDONLY, O_NONBLOCK, O_NOFOLLOW} = constants;
  const flags = options.pipe === true ? O_RDONLY : O_RDONLY | O_NONBLOCK;
  const opening = open(path, options.noFollow === true ? flags | O_NOFOLLOW : flags);
  const file = await opening.catch((error: NodeJS.ErrnoException) => {
    throw options.noFollow === true && error.code === 'ELOOP'
      ? new FileKindError('is a symbolic link', {cause: error})
      : error;
  });
  try {
    const stats = await file.stat();
    if (stats.isFile() || (options.pipe === true && stats.isFIFO())) return file;
    throw new FileKindError(
      `is a ${stats.isDirectory() ? 'folder' : stats.isFIFO() ? 'pipe' : 'device'}, not a file`,
    );
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Initial buffer size if the file size is unknown, in bytes. */
const FIRST_READ = 64 * 1024;

/**
 * Reads a whole file of at most `limit` bytes.
 * @throws FileKindError, also where it is larger; or the system's error
 */
export async function readRegular(
  path: string,
  limit: number,
  options: OpenOptions = {},
): Promise<Buffer> {
  await using file = await openRegular(path, options);
  const {size} = await file.stat();
  if (size > limit) throw new FileKindError(`is larger than ${sizeOf(limit)}`);
  // The size may have changed, so read until the end. A pipe may return one byte at a time.
  let memory = Buffer.allocUnsafe(Math.min(limit, Math.max(size, FIRST_READ)) + 1);
  let total = 0;
  for (;;) {
    const {bytesRead} = await file.read(memory, total, memory.byteLength - total, null);
    if (bytesRead === 0) return memory.subarray(0, total);
    total += bytesRead;
    if (total > limit) throw new FileKindError(`is larger than ${sizeOf(limit)}`);
    if (total < memory.byteLength) continue;
    const grown = Buffer.allocUnsafe(Math.min(limit + 1, 2 * total));
    grown.set(memory);
    memory = grown;
  }
}

function sizeOf(bytes: number): string {
  return bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20} MiB` : `${bytes} bytes`;
}
