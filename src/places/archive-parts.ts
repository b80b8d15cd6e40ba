import {createHash, type Hash} from 'node:crypto';
import {stat} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import type {FileHandle} from 'node:fs/promises';
import {openRegular, readRegular} from '../http/regular-file.ts';
import {TransshipError} from '../model/error.ts';
import {isMissing, unreadable} from './file-error.ts';

/** Bytes that can be read at any position: a file, or the parts of one. */
export interface ArchiveBytes {
  stat(): Promise<{readonly size: number}>;
  read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{readonly bytesRead: number}>;
}

/** One part of an archive. */
export interface ArchivePart {
  /** Its file, without a directory: `acme.tar.001`. */
  readonly name: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
  /** The images that need it, as text for people. */
  readonly holds: string;
}

/** The list of the parts of an archive. */
export interface PartList {
  /** Bytes of each part but the last. */
  readonly partSize: number;
  readonly parts: readonly ArchivePart[];
}

/** Maximum size of a list, in bytes: a part takes about 200 bytes, and its images 2 KiB. */
const LIST_LIMIT = 16 * 1024 * 1024;
/** Maximum number of parts: their three digits sort in order. */
export const PART_LIMIT = 999;

/** The file name of a part, without a directory. @param number from 1 */
export function partName(file: string, number: number): string {
  return `${basename(file)}.${String(number).padStart(3, '0')}`;
}

/** The file that lists the parts of an archive. */
export function partListFile(file: string): string {
  return `${file}.sha256`;
}

/**
 * Formats the list as a file for `sha256sum --check`, which ignores lines that begin with `#`. It tells the recipient
 * which parts there are, and which images need a missing part.
 */
export function formatPartList({partSize, parts}: PartList): string {
  return [
    `# transship archive: ${parts.length} parts of ${partSize} bytes`,
    ...parts.map(({name, size, holds}) => `# ${name} ${size} bytes: ${holds}`),
    ...parts.map(({name, sha256}) => `${sha256}  ${name}`),
    '',
  ].join('\n');
}

/**
 * Reads the list of an archive's parts; undefined: there is none.
 * @throws TransshipError FILE_INVALID, FILE_UNREADABLE
 */
export async function readPartList(file: string): Promise<PartList | undefined> {
  const path = partListFile(file);
  let text: string;
  try {
    text = (await readRegular(path, LIST_LIMIT)).toString();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw unreadable(path, error);
  }
  const [, count, partSize] =
    /^# transship archive: (\d{1,3}) parts of (\d{1,15}) bytes$/m.exec(text) ?? [];
  const parts = Array.from({length: Number(count ?? 0)}, (_, at): ArchivePart | undefined => {
    const name = partName(file, at + 1);
    const described = text.split('\n').find((line) => line.startsWith(`# ${name} `)) ?? '';
    const [, size, holds = ''] =
      /^# \S+ (\d{1,15}) bytes: (.*)$/.exec(described.slice(0, 4096)) ?? [];
    const sum =
      text
        .split('\n')
        .find((line) => line.endsWith(`  ${name}`))
        ?.slice(0, 64) ?? '';
    if (size === undefined || !/^[a-f0-9]{64}$/.test(sum)) return undefined;
    return {name, sha256: sum, size: Number(size), holds};
  });
  const known = parts.filter((part) => part !== undefined);
  if (partSize === undefined || known.length === 0 || known.length < parts.length)
    throw notAList(path);
  return {partSize: Number(partSize), parts: known};
}

/**
 * Finds the list of an archive's parts for reading; undefined: the archive is one file, or does not exist.
 * @throws TransshipError FILE_INVALID, FILE_UNREADABLE
 */
export async function findPartList(file: string): Promise<PartList | undefined> {
  if (await isFile(file)) return undefined;
  const found = await readPartList(file);
  if (found === undefined && (await isFile(join(dirname(file), partName(file, 1)))))
    throw withoutList(file);
  return found;
}

/**
 * Opens the parts of an archive as one file.
 * @param directories directories with parts, besides the directory of the list
 * @throws TransshipError FILE_INVALID, which names all parts that are missing or have another size
 */
export async function openParts(
  file: string,
  {parts}: PartList,
  directories: readonly string[],
): Promise<PartedFile> {
  await using opened = new AsyncDisposableStack();
  const found: OpenPart[] = [];
  const problems: string[] = [];
  let start = 0;
  for (const part of parts) {
    const path = await findPart(part, [dirname(file), ...directories]);
    if (path === undefined) problems.push(`${part.name} is missing, which contains ${part.holds}`);
    else {
      const handle = opened.use(await openRegular(path));
      const {size} = await handle.stat();
      if (size === part.size) found.push({...part, path, handle, start});
      else
        problems.push(
          `${path} has ${size} bytes instead of ${part.size}, and contains ${part.holds}`,
        );
    }
    start += part.size;
  }
  if (problems.length > 0) throw damaged(file, parts.length, problems);
  return new PartedFile(file, found, opened.move());
}

interface OpenPart extends ArchivePart {
  readonly path: string;
  readonly handle: FileHandle;
  /** Its offset in the archive. */
  readonly start: number;
}

/** The parts of an archive, read as one file. Parts that are read in order are hashed meanwhile. */
export class PartedFile implements ArchiveBytes, AsyncDisposable {
  readonly #file: string;
  readonly #parts: readonly OpenPart[];
  readonly #opened: AsyncDisposable;
  readonly #size: number;
  #hash: Hash = createHash('sha256');
  #hashed = 0;
  readonly #sums: string[] = [];

  constructor(file: string, parts: readonly OpenPart[], opened: AsyncDisposable) {
    this.#file = file;
    this.#parts = parts;
    this.#opened = opened;
    this.#size = parts.reduce((sum, {size}) => sum + size, 0);
  }

  stat(): Promise<{readonly size: number}> {
    return Promise.resolve({size: this.#size});
  }

  /** Reads up to the end of a part; the next call reads the rest. */
  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{readonly bytesRead: number}> {
    const part = this.#parts.find(({start, size}) => position >= start && position < start + size);
    if (part === undefined) return {bytesRead: 0};
    const at = position - part.start;
    const {bytesRead} = await part.handle.read(
      buffer,
      offset,
      Math.min(length, part.size - at),
      at,
    );
    if (position === this.#hashed)
      this.#learn(buffer.subarray(offset, offset + bytesRead), part.start + part.size);
    return {bytesRead};
  }

  /**
   * Compares every part with its checksum, and reads the remaining bytes for that.
   * @throws TransshipError FILE_INVALID
   */
  async check(signal: AbortSignal): Promise<void> {
    const memory = Buffer.allocUnsafe(1024 * 1024);
    while (this.#hashed < this.#size) {
      signal.throwIfAborted();
      const {bytesRead} = await this.read(memory, 0, memory.byteLength, this.#hashed);
      if (bytesRead === 0) break;
    }
    const changed = this.#parts.filter(({sha256}, at) => this.#sums[at] !== sha256);
    if (changed.length === 0) return;
    const problems = changed.map(({path, holds}) => `${path} was changed, and contains ${holds}`);
    throw damaged(this.#file, this.#parts.length, problems);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened[Symbol.asyncDispose]();
  }

  #learn(bytes: Uint8Array, end: number): void {
    this.#hash.update(bytes);
    this.#hashed += bytes.byteLength;
    if (this.#hashed < end) return;
    this.#sums.push(this.#hash.digest('hex'));
    this.#hash = createHash('sha256');
  }
}

async function findPart(
  {name}: ArchivePart,
  directories: readonly string[],
): Promise<string | undefined> {
  for (const directory of directories) {
    const path = join(directory, name);
    if (await isFile(path)) return path;
  }
  return undefined;
}

function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}

/** The error for parts without a list. */
function withoutList(file: string): TransshipError {
  const message = `found ${partName(file, 1)}, but not ${partListFile(file)}, which lists the parts`;
  return new TransshipError('FILE_INVALID', message, {
    side: 'local',
    hint: 'copy it from the place where the archive was written; if it does not exist there, writing was interrupted: apply the plan again',
  });
}

function notAList(path: string): TransshipError {
  return new TransshipError('FILE_INVALID', `${path} does not list the parts of an archive`, {
    side: 'local',
    hint: 'copy it again from the place where the archive was written; it is written after all parts',
  });
}

function damaged(file: string, count: number, problems: readonly string[]): TransshipError {
  const [first = '', ...others] = problems;
  const more = others.length === 0 ? '' : `; ${others.join('; ')}`;
  return new TransshipError(
    'FILE_INVALID',
    `the archive ${file} in ${count} parts is incomplete: ${first}${more}`,
    {
      side: 'local',
      hint: `copy these parts beside ${basename(partListFile(file))} again, or name their directory with --archive-parts`,
    },
  );
}
