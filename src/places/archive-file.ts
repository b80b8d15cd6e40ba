import {createHash, randomBytes} from 'node:crypto';
import {createWriteStream} from 'node:fs';
import {
  type FileHandle,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  rename,
  rmdir,
} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {extract, pack} from 'tar-stream';
import {openRegular, readRegular} from '../http/regular-file.ts';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, finishDigest, hexOf, isDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {childBlobs, childManifests, MANIFEST_LIMIT, parseManifest} from '../model/manifest.ts';
import {isManifestType} from '../model/media-type.ts';
import {decompress} from './archive-compression.ts';
import {hasCode, isMissing, unwritable} from './file-error.ts';
import {LayoutIndex} from './layout-index.ts';
import {removeFile} from './durable-file.ts';

/** The files of an image layout (image-spec image-layout.md); other entries of an archive are skipped. */
const LAYOUT_FILE =
  /^(?:\.\/)?(oci-layout|index\.json|blobs\/(?:sha256|sha512)\/[a-f0-9]{64,128})$/;

const TAR_BLOCK = 512;

/**
 * Unpacks the image layout in a tar file, which may be compressed, as other tools read it too. Only entries named like
 * files of a layout are extracted, so that none is written outside of the folder. The content is checked when it is
 * read.
 * @throws TransshipError FILE_UNREADABLE, FILE_INVALID
 */
export async function unpackLayout(
  file: string,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  let files = 0;
  try {
    await using given = await openRegular(file);
    await using decompressed = await decompress(given, directory, signal);
    const handle = decompressed?.file ?? given;
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
    for await (const entry of archive) {
      const {name, type, size: length} = entry.header;
      const {byteOffset = 0} = entry.header as {readonly byteOffset?: number};
      // The library would wait forever for the missing data.
      if (byteOffset + length > size) throw new Error('it is truncated');
      const known = type === 'file' ? LAYOUT_FILE.exec(name)?.[1] : undefined;
      if (known !== undefined) {
        const target = join(directory, known);
        await mkdir(dirname(target), {recursive: true});
        // If several entries have the same name, the last one counts.
        await removeFile(target);
        await pipeline(entry, createWriteStream(target, {flags: 'wx'}), {signal});
        files += 1;
      } else for await (const _ of entry);
      isInEntry = false;
    }
    await reading;
  } catch (error) {
    signal.throwIfAborted();
    throw unreadable(file, error);
  }
  if (files === 0) throw unreadable(file, new Error('it contains no image layout'));
}

/** Bytes per read of an archive: a multiple of the block size. */
const PIECE = 1024 * 1024;

/**
 * The bytes of an archive up to its end marker, blocks of zeros. Some programs add many such blocks, and a sparse file
 * may have any number of them, which the library would all read.
 */
async function* piecesOf(file: FileHandle, isInEntry: () => boolean): AsyncGenerator<Uint8Array> {
  for (let position = 0; ; ) {
    const piece = Buffer.allocUnsafe(PIECE);
    const {bytesRead} = await file.read(piece, 0, PIECE, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    const bytes = piece.subarray(0, bytesRead);
    if (bytesRead === PIECE && !isInEntry() && bytes.equals(ZEROS)) return;
    yield bytes;
  }
}

const ZEROS = Buffer.alloc(PIECE);

/** Blocks of zeros end an archive (POSIX pax, "ustar Interchange Format"): one truncated between entries has none. */
async function isEnded(file: FileHandle, size: number): Promise<boolean> {
  if (size < TAR_BLOCK || size % TAR_BLOCK !== 0) return false;
  const {buffer} = await file.read(Buffer.alloc(TAR_BLOCK), 0, TAR_BLOCK, size - TAR_BLOCK);
  return buffer.every((byte) => byte === 0);
}

/**
 * Packs a layout into a tar file, atomically. Only files that the index refers to are packed, and each is hashed; other
 * files in the folder are ignored.
 * @throws TransshipError FILE_WRITE_FAILED, BLOB_DIGEST_MISMATCH and what reading a layout gives
 */
export async function packLayout(
  directory: string,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  // The name is unpredictable, so nobody can have placed a link there.
  const fresh = join(dirname(file), `.${basename(file)}.${randomBytes(8).toString('hex')}.tmp`);
  try {
    const output = await open(fresh, 'wx');
    const archive = pack();
    const writing = pipeline(archive, output.createWriteStream({flush: true}), {signal});
    const adding = addFiles(directory, archive, signal).catch((error: unknown) => {
      archive.destroy();
      throw error;
    });
    const [added, written] = await Promise.allSettled([adding, writing]);
    if (added.status === 'rejected') throw added.reason;
    if (written.status === 'rejected') throw written.reason;
    await rename(fresh, file);
  } catch (error) {
    await removeFile(fresh);
    signal.throwIfAborted();
    throw unwritable(file, error);
  }
}

async function addFiles(
  directory: string,
  archive: ReturnType<typeof pack>,
  signal: AbortSignal,
): Promise<void> {
  const reached = await reachedContent(directory, signal);
  // The small metadata files first, then the content, sorted by name.
  for (const name of ['oci-layout', 'index.json']) {
    await using file = await openRegular(join(directory, name), {noFollow: true});
    await addFile(archive, name, file, undefined, signal);
  }
  for (const digest of reached.toSorted((a, b) => (a < b ? -1 : 1))) {
    const name = `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
    await using file = await openRegular(join(directory, name), {noFollow: true});
    await addFile(archive, name, file, digest, signal);
  }
  archive.finalize();
}

async function addFile(
  archive: ReturnType<typeof pack>,
  name: string,
  file: FileHandle,
  digest: Digest | undefined,
  signal: AbortSignal,
): Promise<void> {
  const {size} = await file.stat();
  const bytes = file.createReadStream();
  // Times and owners are irrelevant to the images.
  const entry = archive.entry({name, size, mtime: new Date(0)});
  await pipeline(bytes, (chunks) => hashed(chunks, name, digest), entry, {signal});
}

async function* hashed(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
  digest: Digest | undefined,
): AsyncGenerator<Uint8Array> {
  const algorithm = digest === undefined ? 'sha256' : algorithmOf(digest);
  const hash = createHash(algorithm);
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
  if (digest === undefined || finishDigest(hash, algorithm) === digest) return;
  throw new TransshipError(
    'BLOB_DIGEST_MISMATCH',
    `the content of ${name} does not match its digest`,
    {
      side: 'local',
      hint: 'delete the folder beside the archive that ends in .layout, then run the command again',
    },
  );
}

/** Every existing blob that the index of the layout refers to, including manifests. */
async function reachedContent(directory: string, signal: AbortSignal): Promise<readonly Digest[]> {
  const index = new LayoutIndex(directory, join(directory, '.transship'));
  const entries = (await index.entries()) ?? [];
  const waiting: Pick<Descriptor, 'digest' | 'mediaType'>[] = entries.flatMap((entry) =>
    isDigest(entry.digest) ? [{digest: entry.digest, mediaType: entry.mediaType}] : [],
  );
  const seen = new Set<Digest>();
  const reached: Digest[] = [];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const {digest, mediaType} = next;
    signal.throwIfAborted();
    if (seen.has(digest)) continue;
    seen.add(digest);
    const path = join(directory, 'blobs', algorithmOf(digest), hexOf(digest));
    if (!(await isThere(path))) continue;
    reached.push(digest);
    if (!isManifestType(mediaType)) continue;
    const bytes = await readRegular(path, MANIFEST_LIMIT, {noFollow: true});
    const {view} = parseManifest(bytes, mediaType, digest, 'local');
    waiting.push(...childManifests(view), ...childBlobs(view));
  }
  return reached;
}

/**
 * Checks that the folder for collecting an archive was created by transship: it is not a link, contains neither links
 * nor devices, and belongs to this user. Anyone who can write beside the archive could have placed another folder
 * there, to inject content or to overwrite files elsewhere.
 * @throws TransshipError DESTINATION_CONFLICT
 */
export async function throwUnlessOurs(directory: string): Promise<void> {
  const stats = await lstat(directory).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw unwritable(directory, error);
  });
  if (stats === undefined) return;
  if (!stats.isDirectory()) throw notOurs(directory, 'it is not a folder');
  if (stats.uid !== (await ownUid(dirname(directory))))
    throw notOurs(directory, 'it belongs to another user');
  for (const entry of await readdir(directory, {recursive: true, withFileTypes: true})) {
    if (entry.isFile() || entry.isDirectory()) continue;
    throw notOurs(directory, `${join(entry.parentPath, entry.name)} is neither file nor folder`);
  }
}

/** The owner of files created in a folder: a file server may map users differently from this system. */
async function ownUid(folder: string): Promise<number> {
  const probe = await mkdtemp(join(folder, '.transship-'));
  try {
    return (await lstat(probe)).uid;
  } finally {
    await rmdir(probe);
  }
}

function notOurs(directory: string, why: string): TransshipError {
  return new TransshipError(
    'DESTINATION_CONFLICT',
    `cannot collect the images of the archive in ${directory}: ${why}`,
    {side: 'local', hint: `move ${directory} elsewhere, or name another archive`},
  );
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

function unreadable(file: string, cause: unknown): TransshipError {
  const isAbsent = hasCode(cause, 'ENOENT');
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TransshipError(
    isAbsent ? 'FILE_UNREADABLE' : 'FILE_INVALID',
    `${file} is not an archive of an image layout: ${why}`,
    {side: 'local', hint: 'name a tar file such as "skopeo copy … oci-archive:FILE" writes', cause},
  );
}
