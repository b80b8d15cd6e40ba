import {randomUUID} from 'node:crypto';
import {type FileHandle, mkdir, mkdtemp, open, rename, rm, stat, unlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {TransshipError} from '../model/error.ts';
import {hasCode, isMissing} from './file-error.ts';

/**
 * Modes of files and directories that others may read, before the umask. Nobody else may change them even if the umask
 * allows it: GitLab's runners have the umask 0.
 */
export const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;

/**
 * Creates a directory and those above it, if they do not exist. Node's option `recursive` is not used, because it never
 * returns on file systems that create no directories, such as /proc (nodejs/node, src/node_file.cc, `MKDirpSync`: it
 * retries after each ENOENT).
 * @param mode mode of the created directories, before the umask
 * @throws errors of the file system
 */
export async function makeDirectory(path: string, mode = DIRECTORY_MODE): Promise<void> {
  try {
    await mkdir(path, mode);
  } catch (error) {
    if (await isDirectory(path)) return;
    if (!hasCode(error, 'ENOENT')) throw error;
    await makeDirectory(dirname(path), mode);
    await mkdir(path, mode).catch(async (second: unknown) => {
      // Another process may have created it meanwhile.
      if (!(await isDirectory(path))) throw second;
    });
  }
}

/** A temporary directory, removed on disposal. */
export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
}

/**
 * Creates a directory in the system's temporary directory.
 * @param prefix the beginning of its name
 * @param temporary contains its path as long as it exists, so that it can be removed if the process ends early
 * @throws TransshipError FILE_WRITE_FAILED
 */
export async function temporaryDirectory(
  prefix: string,
  temporary: Set<string>,
): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(tmpdir(), prefix)).catch((cause: unknown) => {
    throw new TransshipError(
      'FILE_WRITE_FAILED',
      `cannot create a temporary directory: ${String(cause)}`,
      {side: 'local', hint: 'set TMPDIR to a writable directory with free space', cause},
    );
  });
  temporary.add(path);
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await rm(path, {recursive: true, force: true});
      temporary.delete(path);
    },
  };
}

async function isDirectory(path: string): Promise<boolean> {
  return await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/**
 * Replaces the file at `path` atomically: a crash at any time leaves either the old file or the new one. The rename is
 * durable after `syncDirectory` for the directory.
 * @param scratch a directory on the same file system, for the temporary file
 * @param mode mode of the new file, whatever the umask. Default: `FILE_MODE` before the umask
 */
export async function replaceFile(
  path: string,
  bytes: Uint8Array,
  scratch: string,
  mode?: number,
): Promise<void> {
  const fresh = join(scratch, `${basename(path)}.${randomUUID()}.tmp`);
  try {
    await using file = await open(fresh, 'wx', FILE_MODE);
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
    // Windows cannot open directories, and some network file systems cannot sync them (fsync(2), EINVAL).
    const harmless = ['EISDIR', 'EPERM', 'EINVAL'].some((code) => hasCode(error, code));
    if (!harmless && !isMissing(error)) throw error;
  }
}

/** Removes a file, if it exists. Node's `rm` would also load its code for removing directories. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
