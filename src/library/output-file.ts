import {randomBytes} from 'node:crypto';
import {constants, write} from 'node:fs';
import {type FileHandle, open, rename, stat} from 'node:fs/promises';
import {basename, dirname, join, resolve} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {promisify} from 'node:util';
import {FILE_MODE, removeFile} from '../places/durable-file.ts';
import {hasCode} from '../places/file-error.ts';

/** How long a pipe may have no reader, or its reader take nothing, and how often it is tried again, in ms. */
const PIPE_WAIT = {limit: 60_000, every: 20};

/**
 * Writes a file that a flag names: the whole of it or nothing. Into a pipe, a terminal or an open file (`/dev/stdout`,
 * a shell's `>(command)`), which a rename would remove, the pieces go as they come.
 * @param waitMs how long a pipe may have no reader, or one that takes nothing
 * @throws what the file system or `pieces` throws; Error where it can be none of these
 */
export async function writeOutput(
  file: string,
  pieces: Iterable<string>,
  waitMs = PIPE_WAIT.limit,
): Promise<void> {
  const there = await stat(file).catch(() => undefined);
  const descriptor = descriptorOf(file);
  if (there?.isFIFO() === true || there?.isCharacterDevice() === true) {
    await using handle = await openForWriting(file, waitMs);
    await writeAll(handle.fd, pieces, waitMs);
  } else if (there !== undefined && descriptor !== undefined) {
    await writeAll(descriptor, pieces, waitMs);
  } else if (there === undefined || there.isFile() || there.isDirectory()) {
    await replaceOutput(file, pieces, there?.isFile() === true ? there.mode : FILE_MODE);
  } else {
    throw new Error(`${file} is a ${there.isSocket() ? 'socket' : 'block device'}, not a file`);
  }
}

/** @param mode of the file before, which the new one does not exceed */
async function replaceOutput(file: string, pieces: Iterable<string>, mode: number): Promise<void> {
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}`);
  try {
    await using handle = await open(temporary, 'wx', (mode | 0o600) & FILE_MODE);
    await handle.writeFile(inBatches(pieces));
    await handle.sync();
    await rename(temporary, file);
  } catch (error) {
    await removeFile(temporary);
    throw error;
  }
}

const STREAMS: ReadonlyMap<string, number> = new Map([
  ['/dev/stdin', 0],
  ['/dev/stdout', 1],
  ['/dev/stderr', 2],
]);

/** The number of the open file that a path names. To open the path again would write over its start. */
function descriptorOf(file: string): number | undefined {
  const path = resolve(file);
  const number = /^\/(?:dev|proc\/(?:self|thread-self))\/fd\/(\d{1,9})$/.exec(path)?.[1];
  return number === undefined ? STREAMS.get(path) : Number(number);
}

/** Never waits in the system, which nothing could end: a pipe without a reader would be waited for without end. */
async function openForWriting(file: string, waitMs: number): Promise<FileHandle> {
  const {O_WRONLY, O_NONBLOCK, O_NOCTTY} = constants;
  const isFifo = async (): Promise<boolean> => (await stat(file)).isFIFO();
  return await retried(
    () => open(file, O_WRONLY | O_NONBLOCK | O_NOCTTY),
    async (error) => hasCode(error, 'ENXIO') && (await isFifo()),
    `no program reads from ${file}`,
    waitMs,
  );
}

const writeSome = promisify(write);

async function writeAll(fd: number, pieces: Iterable<string>, waitMs: number): Promise<void> {
  for (const batch of inBatches(pieces)) {
    for (let left = Buffer.from(batch); left.byteLength > 0; ) {
      const bytes = left;
      const {bytesWritten} = await retried(
        () => writeSome(fd, bytes),
        (error) => hasCode(error, 'EAGAIN'),
        'the program that reads from the pipe takes nothing',
        waitMs,
      );
      left = left.subarray(bytesWritten);
    }
  }
}

/** @throws Error with the message where it may be retried no more */
async function retried<T>(
  attempt: () => Promise<T>,
  mayRetry: (error: unknown) => boolean | Promise<boolean>,
  message: string,
  waitMs: number,
): Promise<T> {
  const began = performance.now();
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(await mayRetry(error))) throw error;
      if (performance.now() - began >= waitMs) throw new Error(message, {cause: error});
      await delay(PIPE_WAIT.every);
    }
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
