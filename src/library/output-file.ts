import {randomBytes} from 'node:crypto';
import {open, rename, stat, writeFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {removeFile} from '../places/durable-file.ts';

/**
 * Writes a file that the user names: the whole of it or nothing. Into a pipe or a device, which a rename would remove, the
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
