import {constants} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';
import {setTimeout} from 'node:timers/promises';

/** A file that is not read; the message says why, as a clause: `is a pipe`. */
export class FileKindError extends Error {
  override readonly name = 'FileKindError';
}

export interface OpenOptions {
  /** Do not follow a link at the end of the path: it is a FileKindError. Default: follow it. */
  readonly noFollow?: boolean;
  /** Accept a pipe, such as a shell's `<(command)`. One without a writer is empty. Default: no. */
  readonly pipe?: boolean;
  /** Open it for writing as well. Default: no. */
  readonly write?: boolean;
}

/**
 * Opens an untrusted file. It must be a regular file: a pipe could block forever, and a device may have no
 * end.
 * @throws FileKindError, or an error of the file system
 */
export async function openRegular(path: string, options: OpenOptions = {}): Promise<FileHandle> {
  // O_NONBLOCK and O_NOFOLLOW are undefined on Windows, which a bitwise OR ignores.
  const {O_RDONLY, O_RDWR, O_NONBLOCK, O_NOFOLLOW} = constants;
  const flags = (options.write === true ? O_RDWR : O_RDONLY) | O_NONBLOCK;
  const opening = open(path, options.noFollow === true ? flags | O_NOFOLLOW : flags);
  const file = await opening.catch((error: NodeJS.ErrnoException) => {
    throw options.noFollow === true && error.code === 'ELOOP'
      ? new FileKindError('is a symbolic link', {cause: error})
      : error;
  });
  return await onlyRegular(file, options.pipe);
}

/** The file, which is closed if it is of another kind. @throws FileKindError */
async function onlyRegular(file: FileHandle, mayBePipe = false): Promise<FileHandle> {
  try {
    const stats = await file.stat();
    if (stats.isFile() || (mayBePipe && stats.isFIFO())) return file;
    throw new FileKindError(
      `is a ${stats.isDirectory() ? 'directory' : stats.isFIFO() ? 'pipe' : 'device'}, not a file`,
    );
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Opens a file for reading and appending, and creates it, for its owner alone, where there is none. One that others
 * could read or change no longer is, if it is this user's. No link at the end of the path is followed: somebody else
 * may have put it there.
 * @throws FileKindError, or the system's error
 */
export async function openAppending(path: string): Promise<FileHandle> {
  const {O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK} = constants;
  const file = await open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  await onlyRegular(file);
  if (((await file.stat()).mode & 0o077) !== 0) await file.chmod(0o600).catch(() => undefined);
  return file;
}

/** Initial buffer size if the file size is unknown, in bytes. */
const FIRST_READ = 64 * 1024;

/**
 * Reads a whole file of at most `limit` bytes.
 * @throws FileKindError, also if the file is larger; or an error of the file system
 */
export async function readRegular(
  path: string,
  limit: number,
  options: OpenOptions = {},
): Promise<Buffer> {
  await using file = await openRegular(path, options);
  const stats = await file.stat();
  const {size} = stats;
  if (size > limit) throw new FileKindError(`is larger than ${sizeOf(limit)}`);
  // The size may have changed, so read until the end. A pipe may return one byte at a time.
  let memory = Buffer.allocUnsafe(Math.min(limit, Math.max(size, FIRST_READ)) + 1);
  let total = 0;
  for (;;) {
    const bytesRead = await readWritten(file, memory.subarray(total), stats.isFIFO());
    if (bytesRead === 0) return memory.subarray(0, total);
    total += bytesRead;
    if (total > limit) throw new FileKindError(`is larger than ${sizeOf(limit)}`);
    if (total < memory.byteLength) continue;
    const grown = Buffer.allocUnsafe(Math.min(limit + 1, 2 * total));
    grown.set(memory);
    memory = grown;
  }
}

/** How long to wait for data from a pipe, and the interval between reads, in ms. */
const PIPE_WAIT = {limit: 60_000, every: 20};

/** Reads the next bytes of a file, or waits for those of a pipe. @returns the number of bytes; 0: the end */
async function readWritten(file: FileHandle, memory: Uint8Array, isPipe: boolean): Promise<number> {
  const began = performance.now();
  for (;;) {
    try {
      return (await file.read(memory, 0, memory.byteLength, null)).bytesRead;
    } catch (error) {
      // A pipe whose writer has written nothing yet; or a file of the kernel's that is like one.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      if (!isPipe) throw new FileKindError('delivers nothing');
      if (performance.now() - began >= PIPE_WAIT.limit)
        throw new FileKindError('is a pipe that delivers nothing');
      await setTimeout(PIPE_WAIT.every);
    }
  }
}

function sizeOf(bytes: number): string {
  return bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20} MiB` : `${bytes} bytes`;
}
