import {constants} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';

/** Why a file is not read, as a clause: `is a pipe`. */
export class FileKindError extends Error {
  override readonly name = 'FileKindError';
}

export interface OpenOptions {
  /** Do not follow a link at the end of the path: it fails with ELOOP. Default: follow it. */
  readonly noFollow?: boolean;
  /** A pipe will do, for what a shell gives as `<(command)`. Default: no; a pipe that nobody writes to never ends. */
  readonly pipe?: boolean;
}

/**
 * Opens a file to read that somebody else may have put there: it has to be a regular file. A pipe would be waited for
 * without end, and a device may have no end.
 * @throws FileKindError, or the system's error
 */
export async function openRegular(path: string, options: OpenOptions = {}): Promise<FileHandle> {
  // Windows has neither of the last two: as numbers, undefined is none.
  const {O_RDONLY, O_NONBLOCK, O_NOFOLLOW} = constants;
  const flags = options.pipe === true ? O_RDONLY : O_RDONLY | O_NONBLOCK;
  const file = await open(path, options.noFollow === true ? flags | O_NOFOLLOW : flags);
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

/** Bytes that are read at once from what does not tell its size. */
const PIECE = 64 * 1024;

/**
 * Reads a file to its end, never more than `limit` bytes of it.
 * @throws FileKindError, also where it is larger; or the system's error
 */
export async function readRegular(
  path: string,
  limit: number,
  options: OpenOptions = {},
): Promise<Buffer> {
  await using file = await openRegular(path, options);
  const {size} = await file.stat();
  const pieces: Buffer[] = [];
  // The size is what it was a moment ago: the end is where nothing more comes.
  let total = size <= limit ? 0 : size;
  while (total <= limit) {
    const piece = Buffer.allocUnsafe(Math.max(size - total, PIECE));
    const {bytesRead} = await file.read(piece, 0, piece.byteLength, null);
    if (bytesRead === 0)
      return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
    pieces.push(piece.subarray(0, bytesRead));
    total += bytesRead;
  }
  throw new FileKindError(`is larger than ${sizeOf(limit)}`);
}

function sizeOf(bytes: number): string {
  return bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20} MiB` : `${bytes} bytes`;
}
