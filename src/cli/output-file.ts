import {randomBytes} from 'node:crypto';
import {open, realpath, rename, stat, writeFile} from 'node:fs/promises';
import {basename, dirname, join, resolve} from 'node:path';
import {TransshipError} from '../model/error.ts';
import {removeFile} from '../places/durable-file.ts';

/**
 * Writes a file that a flag names: the whole of it or nothing. Into a pipe or a device, which a rename would remove, the
 * pieces go as they come.
 * @throws what the file system or `pieces` throws
 */
export async function writeOutput(file: string, pieces: Iterable<string>): Promise<void> {
  const there = await stat(file).catch(() => undefined);
  if (there !== undefined && !there.isFile() && !there.isDirectory()) {
    await writeFile(file, pieces);
    return;
  }
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}`);
  try {
    await using handle = await open(temporary, 'wx');
    await handle.writeFile(inBatches(pieces));
    await handle.sync();
    await rename(temporary, file);
  } catch (error) {
    await removeFile(temporary);
    throw error;
  }
}

/** Characters that are written at once: a plan comes in a piece for each of its values. */
const BATCH = 64 * 1024;

function* inBatches(pieces: Iterable<string>): Generator<string> {
  let batch = '';
  for (const piece of pieces) {
    batch += piece;
    if (batch.length < BATCH) continue;
    yield batch;
    batch = '';
  }
  yield batch;
}

/** A file that a command line names, and how it names it. */
export interface NamedFile {
  /** Such as `--out`, or `<file>` for an argument. */
  readonly name: string;
  readonly file: string | undefined;
}

/**
 * Makes sure that a file which is to be written is none of the others.
 * @throws TransshipError USAGE
 */
export async function throwIfSameFile(
  written: NamedFile,
  others: readonly NamedFile[],
): Promise<void> {
  if (written.file === undefined) return;
  const path = await realPath(written.file);
  for (const {name, file} of others) {
    if (file === undefined || (await realPath(file)) !== path) continue;
    throw new TransshipError('USAGE', `${written.name} and ${name} name the same file: ${file}`, {
      side: 'local',
      hint: `name another file with ${written.name}`,
    });
  }
}

async function realPath(file: string): Promise<string> {
  return await realpath(file).catch(async () => {
    const folder = resolve(dirname(file));
    return join(await realpath(folder).catch(() => folder), basename(file));
  });
}
