import {randomUUID} from 'node:crypto';
import {type FileHandle, open, rename, unlink} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {hasCode, isMissing} from './file-error.ts';

/**
 * Puts `bytes` into the file at `path` so that a crash at any instant leaves the old file or the new one. The rename
 * is on the disk once `syncDirectory` was called for the directory.
 * @param scratch a directory on the same file system, for the time of writing
 */
export async function replaceFile(path: string, bytes: Uint8Array, scratch: string): Promise<void> {
  const fresh = join(scratch, `${basename(path)}.${randomUUID()}.tmp`);
  try {
    await using file = await open(fresh, 'wx');
    await writeAll(file, bytes, 0);
    await file.sync();
  } catch (error) {
    await removeFile(fresh);
    throw error;
  }
  await rename(fresh, path);
}

/** `write` may take less than it was given (write(2)); this goes on until all is written. */
export async function writeAll(
  file: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const {bytesWritten} = await file.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}

/** Brings renames in a directory to the disk, where there is such a directory and the system can. */
export async function syncDirectory(path: string): Promise<void> {
  try {
    await using directory = await open(path, 'r');
    await directory.sync();
  } catch (error) {
    // Windows opens no directories; some network file systems sync none (fsync(2), EINVAL).
    const harmless = ['EISDIR', 'EPERM', 'EINVAL'].some((code) => hasCode(error, code));
    if (!harmless && !isMissing(error)) throw error;
  }
}

/**
 * Removes a file, if it is there. Node's `rm` would look at it first and load what removes folders: 5 ms at the end of a
 * run.
 */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
