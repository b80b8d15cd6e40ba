import {join, posix} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {extract} from 'tar-stream';
import {openRegular} from '../http/regular-file.ts';
import {TransshipError} from '../model/error.ts';
import type {Call} from '../model/port.ts';
import {decompress} from './compression.ts';
import type {ArchiveBytes, PartedFile} from './archive-parts.ts';
import {temporaryDirectory} from './durable-file.ts';
import {hasCode, unreadable} from './file-error.ts';
import type {PlaceFiles} from './stored-repository.ts';

const TAR_BLOCK = 512;
/** Bytes per read of an archive: a multiple of the block size. */
const PIECE = 1024 * 1024;
const ZEROS = Buffer.alloc(PIECE);

/** Maximum number of entries, which are held in memory: more than a repository may have contents. */
const ENTRY_LIMIT = 200_000;
/** Maximum length of a name, in characters; names in archives of images are shorter. */
const NAME_LIMIT = 1024;
/** Maximum length of a chain of links. Old versions of Docker write single links. */
const LINK_LIMIT = 8;

/** An entry of a tar file. */
export interface TarEntry {
  /** The name as in the file; untrusted. */
  readonly name: string;
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  /** The offset of its content in the file. */
  readonly offset: number;
  /** The target of a link. */
  readonly target: string | undefined;
}

/**
 * Reads the entries of a tar file in order.
 * @param visit reads the content of an entry, or returns undefined to skip it
 * @throws Error if the file is truncated, not a tar file, or has too many entries
 */
export async function readTar(
  handle: ArchiveBytes,
  signal: AbortSignal,
  visit: (entry: TarEntry, content: AsyncIterable<Uint8Array>) => Promise<void> | undefined,
): Promise<void> {
  const {size} = await handle.stat();
  if (!(await isEnded(handle, size))) throw new Error('it is truncated');
  const archive = extract();
  let isInEntry = false;
  archive.on('entry', () => {
    isInEntry = true;
  });
  const reading = pipeline(() => piecesOf(handle, () => isInEntry), archive, {signal});
  // A truncated archive fails here while an entry is being written; the error is reported below.
  reading.catch(() => undefined);
  let count = 0;
  for await (const entry of archive) {
    count += 1;
    if (count > ENTRY_LIMIT) throw new Error(`it has more than ${ENTRY_LIMIT} entries`);
    const {name, type, size: length, linkname} = entry.header;
    const {byteOffset: offset = 0} = entry.header as {readonly byteOffset?: number};
    // tar-stream would wait forever for the missing data.
    if (offset + length > size) throw new Error('it is truncated');
    const target = linkname ?? undefined;
    const found = {name, type: type ?? 'file', size: length, offset, target};
    const visiting = visit(found, entry as AsyncIterable<Uint8Array>);
    if (visiting === undefined) for await (const _ of entry);
    else await visiting;
    isInEntry = false;
  }
  await reading;
}

/**
 * The bytes of an archive up to its end marker, blocks of zeros. Some programs add many such blocks, and a sparse file
 * may have any number of them, all of which tar-stream would read.
 */
async function* piecesOf(file: ArchiveBytes, isInEntry: () => boolean): AsyncGenerator<Uint8Array> {
  for (let position = 0; ; ) {
    const piece = Buffer.allocUnsafe(PIECE);
    const {bytesRead} = await file.read(piece, 0, PIECE, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    const bytes = piece.subarray(0, bytesRead);
    // At the end of the file, and of each part of one, fewer bytes are read.
    if (bytesRead === PIECE && !isInEntry() && bytes.equals(ZEROS)) return;
    yield bytes;
  }
}

/**
 * Whether the archive has its end marker, blocks of zeros (POSIX pax, "ustar Interchange Format"), and is not
 * truncated.
 */
async function isEnded(file: ArchiveBytes, size: number): Promise<boolean> {
  if (size < TAR_BLOCK || size % TAR_BLOCK !== 0) return false;
  const buffer = Buffer.alloc(TAR_BLOCK, 1);
  for (let done = 0; done < TAR_BLOCK; ) {
    const at = size - TAR_BLOCK + done;
    const {bytesRead} = await file.read(buffer, done, TAR_BLOCK - done, at);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return buffer.every((byte) => byte === 0);
}

/** Bytes per read of a file in an archive. */
const READ_SIZE = 256 * 1024;

/**
 * The files in a tar file, which are read without unpacking them. A compressed file, which does not support random
 * access, is first decompressed into the system's temporary directory. Links can only lead to other files of the
 * archive.
 */
export class TarArchive implements PlaceFiles {
  readonly #file: string;
  readonly #handle: ArchiveBytes;
  readonly #entries: ReadonlyMap<string, TarEntry>;
  readonly #close: () => Promise<void>;

  private constructor(
    file: string,
    handle: ArchiveBytes,
    entries: ReadonlyMap<string, TarEntry>,
    close: () => Promise<void>,
  ) {
    this.#file = file;
    this.#handle = handle;
    this.#entries = entries;
    this.#close = close;
  }

  /**
   * Opens an archive and reads it once to find its files.
   * @param temporary contains the directory of a decompressed file as long as it exists, so that it can be removed if
   * the
   *   process ends early
   * @param fetch writes the archive to this path in a temporary directory; `file` is then only a name for messages
   * @throws TransshipError FILE_UNREADABLE, FILE_INVALID, and errors of `fetch`
   */
  static async open(
    file: string,
    temporary: Set<string>,
    signal: AbortSignal,
    fetch?: (path: string) => Promise<void>,
  ): Promise<TarArchive> {
    await using parts = new AsyncDisposableStack();
    try {
      const {path: directory} = parts.use(
        await temporaryDirectory('transship-archive-', temporary),
      );
      const path = fetch === undefined ? file : join(directory, 'fetched.tar');
      await fetch?.(path);
      const given = parts.use(await openRegular(path));
      const decompressed = await decompress(given, directory, signal);
      if (decompressed !== undefined) parts.use(decompressed);
      const handle = decompressed?.file ?? given;
      const entries = await entriesOf(handle, signal);
      const owned = parts.move();
      return new TarArchive(file, handle, entries, () => owned.disposeAsync());
    } catch (error) {
      signal.throwIfAborted();
      throw notAnArchive(file, error);
    }
  }

  /**
   * Opens an archive that was written in parts. Each of them is compared with its checksum.
   * @throws TransshipError FILE_INVALID, FILE_UNREADABLE
   */
  static async openParts(
    file: string,
    parts: PartedFile,
    signal: AbortSignal,
  ): Promise<TarArchive> {
    await using owned = new AsyncDisposableStack();
    owned.use(parts);
    try {
      const entries = await entriesOf(parts, signal);
      await parts.check(signal);
      const all = owned.move();
      return new TarArchive(file, parts, entries, () => all.disposeAsync());
    } catch (error) {
      signal.throwIfAborted();
      // If a part was changed, the tar file may be invalid: the error then names the part.
      await parts.check(signal);
      throw notAnArchive(file, error);
    }
  }

  close(): Promise<void> {
    return this.#close();
  }

  nameOf(path: string): string {
    return `${path} in ${this.#file}`;
  }

  size(path: string): Promise<number | undefined> {
    return Promise.resolve(this.#find(path)?.size);
  }

  async read(
    path: string,
    limit: number,
  ): Promise<Uint8Array | {readonly size: number} | undefined> {
    const entry = this.#find(path);
    if (entry === undefined || entry.size > limit) return entry && {size: entry.size};
    const bytes = Buffer.allocUnsafe(entry.size);
    for (let done = 0; done < entry.size; ) {
      const piece = await this.#readAt(entry.offset + done, entry.size - done);
      bytes.set(piece, done);
      done += piece.byteLength;
    }
    return bytes;
  }

  async *stream(
    path: string,
    offset: number,
    end: number,
    call: Call,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const entry = this.#find(path);
    if (entry === undefined) return;
    for (let position = offset; position < Math.min(end, entry.size); ) {
      call.signal.throwIfAborted();
      const length = Math.min(READ_SIZE, Math.min(end, entry.size) - position);
      const piece = await this.#readAt(entry.offset + position, length);
      position += piece.byteLength;
      yield piece;
    }
  }

  /** The path of a file with links resolved; undefined: the file does not exist. */
  resolve(path: string): string | undefined {
    let at = normalized(path);
    for (let links = 0; at !== undefined && links <= LINK_LIMIT; links += 1) {
      const entry = this.#entries.get(at);
      if (entry === undefined) return undefined;
      if (entry.target === undefined) return at;
      // A hard link names a file of the archive, a symbolic one is relative to its directory (POSIX pax, "linkname").
      at = normalized(
        entry.type === 'symlink' ? posix.join(posix.dirname(at), entry.target) : entry.target,
      );
    }
    return undefined;
  }

  #find(path: string): TarEntry | undefined {
    const resolved = this.resolve(path);
    return resolved === undefined ? undefined : this.#entries.get(resolved);
  }

  /** Up to `length` bytes, in a separate buffer. */
  async #readAt(position: number, length: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(length);
    try {
      const {bytesRead} = await this.#handle.read(buffer, 0, length, position);
      if (bytesRead > 0) return buffer.subarray(0, bytesRead);
    } catch (error) {
      throw unreadable(this.#file, error);
    }
    throw notAnArchive(this.#file, new Error('it was truncated while it was read'));
  }
}

/** Files and links by their normalized names; if several have the same name, the last one counts, as when unpacking. */
async function entriesOf(
  handle: ArchiveBytes,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, TarEntry>> {
  const entries = new Map<string, TarEntry>();
  await readTar(handle, signal, (entry) => {
    const isLink = entry.type === 'symlink' || entry.type === 'link';
    const isKnown = isLink || entry.type === 'file' || entry.type === 'contiguous-file';
    const name = entry.name.length > NAME_LIMIT ? undefined : normalized(entry.name);
    if (!isKnown || name === undefined || (entry.target?.length ?? 0) > NAME_LIMIT)
      return undefined;
    entries.set(name, {...entry, target: isLink ? (entry.target ?? '') : undefined});
    return undefined;
  });
  return entries;
}

/** A normalized path within the archive; undefined: it leads outside. */
function normalized(path: string): string | undefined {
  const clean = posix.normalize(path.startsWith('/') ? `.${path}` : path);
  return clean === '..' || clean.startsWith('../') ? undefined : clean;
}

/** The error for a file that cannot be read as an archive of images. */
export function notAnArchive(file: string, cause: unknown): Error {
  if (cause instanceof TransshipError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TransshipError(
    hasCode(cause, 'ENOENT') ? 'FILE_UNREADABLE' : 'FILE_INVALID',
    `${file} is not an archive of images: ${why}`,
    {
      side: 'local',
      hint: 'name a tar file as written by "skopeo copy … oci-archive:FILE" or "docker save"',
      cause,
    },
  );
}
