import {randomUUID} from 'node:crypto';
import {type FileHandle, open, readdir, rename, stat, unlink} from 'node:fs/promises';
import {basename, join} from 'node:path';
import {hasCode, isMissing} from './file-error.ts';

/**
 * Puts `bytes` into the file at `path` so that a crash at any time leaves either the old file or the new one. The
 * rename is durable after `syncDirectory` for the directory.
 * @param scratch a directory on the same file system, for the temporary file
 * @param mode of the new file. Default: as the system gives it
 */
export async function replaceFile(
  path: string,
  bytes: Uint8Array,
  scratch: string,
  mode?: number,
): Promise<void> {
  const fresh = join(scratch, `${basename(path)}.${randomUUID()}.tmp`);
  try {
    await using file = await open(fresh, 'wx');
    await writeAll(file, bytes, 0);
    if (mode !== undefined) await file.chmod(mode & 0o7777);
    await file.sync();
  } catch (error) {
    await removeFile(fresh);
    throw error;
  }
  await rename(fresh, path);
}

/** Writes all bytes; a single `write` may write fewer (write(2)). */
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

/** Syncs renames in a directory to disk, if it exists and the system supports that. */
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

/** Removes a file, if it exists. Node's `rm` would also load its code for removing folders. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** Removes the files of a folder that were written longest ago, until `most` are left. */
export async function forgetOldest(folder: string, most: number): Promise<void> {
  const names = await readdir(folder);
  if (names.length <= most) return;
  const dated = await Promise.all(
    names.map(async (name) => ({name, at: (await stat(join(folder, name))).mtimeMs})),
  );
  const oldest = dated.toSorted((a, b) => a.at - b.at).slice(0, names.length - most);
  for (const {name} of oldest) await removeFile(join(folder, name));
}
