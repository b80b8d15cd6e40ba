import {createHash, randomBytes} from 'node:crypto';
import {createWriteStream} from 'node:fs';
import {type FileHandle, lstat, mkdtemp, open, readdir, rename, rmdir} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {PassThrough, type Writable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {pack} from 'tar-stream';
import {openRegular, readRegular} from '../http/regular-file.ts';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, finishDigest, hexOf, isDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {childBlobs, childManifests, MANIFEST_LIMIT, parseManifest} from '../model/manifest.ts';
import {isManifestType} from '../model/media-type.ts';
import {decompress} from './compression.ts';
import {formatPartList, PartedFile, partListFile, readPartList} from './archive-parts.ts';
import {isMissing, unwritable} from './file-error.ts';
import {SCRATCH} from './directory-files.ts';
import {PartWriter} from './part-writer.ts';
import {REF_NAME} from './layout-entries.ts';
import {LayoutIndex} from './layout-index.ts';
import {FILE_MODE, makeDirectory, removeFile, replaceFile, syncDirectory} from './durable-file.ts';
import {notAnArchive, readTar} from './tar-archive.ts';

/** The files of an image layout (image-spec image-layout.md); other entries of an archive are skipped. */
const LAYOUT_FILE =
  /^(?:\.\/)?(oci-layout|index\.json|blobs\/(?:sha256|sha512)\/[a-f0-9]{64,128})$/;

/**
 * Unpacks the image layout in a tar file, which may be compressed. Only entries named like files of a layout are
 * extracted, so that none is written outside of the directory. The content is checked when it is read.
 * @param parts the archive, if it was written in parts; they are closed afterwards
 * @throws TransshipError FILE_UNREADABLE, FILE_INVALID
 */
export async function unpackLayout(
  file: string,
  directory: string,
  signal: AbortSignal,
  parts?: PartedFile,
): Promise<void> {
  let files = 0;
  try {
    await using given = parts ?? (await openRegular(file));
    await using decompressed =
      given instanceof PartedFile ? undefined : await decompress(given, directory, signal);
    const unpack = async (name: string, content: AsyncIterable<Uint8Array>): Promise<void> => {
      const target = join(directory, name);
      await makeDirectory(dirname(target));
      // If several entries have the same name, the last one counts.
      await removeFile(target);
      await pipeline(content, createWriteStream(target, {flags: 'wx'}), {signal});
      files += 1;
    };
    await readTar(decompressed?.file ?? given, signal, ({name, type}, content) => {
      const known = type === 'file' ? LAYOUT_FILE.exec(name)?.[1] : undefined;
      return known === undefined ? undefined : unpack(known, content);
    });
    await parts?.check(signal);
  } catch (error) {
    signal.throwIfAborted();
    throw notAnArchive(file, error);
  }
  if (files === 0) throw notAnArchive(file, new Error('it contains no image layout'));
}

/**
 * Packs a layout into numbered parts, which form a tar file when they are concatenated. The list of parts is written
 * last; without it, parts are not read. Surplus parts of an earlier list are removed.
 * @param partSize bytes of each part but the last
 * @throws TransshipError as `packLayout`; FILE_WRITE_FAILED also if there would be too many parts
 */
export async function packParts(
  directory: string,
  file: string,
  partSize: number,
  signal: AbortSignal,
): Promise<void> {
  const earlier = await readPartList(file);
  const writer = new PartWriter(file, partSize);
  try {
    const contents = await packInto(directory, (chunks) => writer.write(chunks), signal);
    const parts = writer.parts.map(({name, sha256, size}, at) => ({
      name,
      sha256,
      size,
      holds: contents.between(at * partSize, at * partSize + size),
    }));
    await removeFile(partListFile(file));
    await writer.rename();
    const text = formatPartList({partSize, parts});
    await replaceFile(partListFile(file), Buffer.from(text), dirname(file));
    // The caller removes the layout next.
    await syncDirectory(dirname(file));
    for (const {name} of earlier?.parts.slice(parts.length) ?? [])
      await removeFile(join(dirname(file), name));
  } catch (error) {
    await writer.discard();
    signal.throwIfAborted();
    throw unwritable(file, error);
  }
}

/**
 * Packs a layout into a tar file, atomically. Only files that the index refers to are packed, and each is hashed; other
 * files in the directory are ignored.
 * @throws TransshipError FILE_WRITE_FAILED, BLOB_DIGEST_MISMATCH and errors of reading the layout
 */
export async function packLayout(
  directory: string,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  // The name is unpredictable, so nobody can have placed a link there.
  const fresh = join(dirname(file), `.${basename(file)}.${randomBytes(8).toString('hex')}.tmp`);
  try {
    const output = await open(fresh, 'wx', FILE_MODE);
    await packInto(directory, output.createWriteStream({flush: true}), signal);
    await rename(fresh, file);
    // The caller removes the layout next.
    await syncDirectory(dirname(file));
  } catch (error) {
    await removeFile(fresh);
    signal.throwIfAborted();
    throw unwritable(file, error);
  }
}

/** Writes the tar file. @returns the location of its contents */
async function packInto(
  directory: string,
  output: Writable | ((chunks: AsyncIterable<Uint8Array>) => Promise<void>),
  signal: AbortSignal,
): Promise<PackedContents> {
  const archive = pack();
  const writing =
    typeof output === 'function'
      ? pipeline(archive, new PassThrough(), output, {signal})
      : pipeline(archive, output, {signal});
  const adding = addFiles(directory, archive, signal).catch((error: unknown) => {
    archive.destroy();
    throw error;
  });
  const [added, written] = await Promise.allSettled([adding, writing]);
  if (added.status === 'rejected') throw added.reason;
  if (written.status === 'rejected') throw written.reason;
  return added.value;
}

async function addFiles(
  directory: string,
  archive: ReturnType<typeof pack>,
  signal: AbortSignal,
): Promise<PackedContents> {
  const reached = await reachedContent(directory, signal);
  const contents = new PackedContents();
  // The small metadata files first, then the content, sorted by name.
  for (const name of ['oci-layout', 'index.json']) {
    await using file = await openRegular(join(directory, name), {noFollow: true});
    contents.add(name, await addFile(archive, name, file, undefined, signal), []);
  }
  for (const [digest, images] of [...reached].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const name = `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
    await using file = await openRegular(join(directory, name), {noFollow: true});
    contents.add(name, await addFile(archive, name, file, digest, signal), images);
  }
  archive.finalize();
  return contents;
}

const TAR_BLOCK = 512;
/** Maximum length of a name in a tar header; longer ones require an additional entry (POSIX pax, "path"). */
const TAR_NAME = 100;
/** Maximum number of images that the list names for each part. */
const NAMED = 10;

/** The images that need the contents of each range of a packed archive. */
class PackedContents {
  readonly #entries: {readonly end: number; readonly images: readonly string[]}[] = [];
  #end = 0;

  add(name: string, size: number, images: readonly string[]): void {
    const headers = basename(name).length > TAR_NAME ? 3 : 1;
    this.#end += (headers + Math.ceil(size / TAR_BLOCK)) * TAR_BLOCK;
    this.#entries.push({end: this.#end, images});
  }

  /** The images that need a range of bytes, as text for people. */
  between(start: number, end: number): string {
    const found = new Set<string>();
    let before = 0;
    for (const {end: own, images} of this.#entries) {
      if (own > start && before < end) for (const image of images) found.add(image);
      before = own;
    }
    const named = [...found].slice(0, NAMED).join(', ');
    if (found.size === 0) return 'no image';
    return `a part of ${named}${found.size > NAMED ? ` and others` : ''}`;
  }
}

async function addFile(
  archive: ReturnType<typeof pack>,
  name: string,
  file: FileHandle,
  digest: Digest | undefined,
  signal: AbortSignal,
): Promise<number> {
  const {size} = await file.stat();
  const bytes = file.createReadStream();
  // Times and owners are irrelevant to the images.
  const entry = archive.entry({name, size, mtime: new Date(0)});
  await pipeline(bytes, (chunks) => hashed(chunks, name, digest), entry, {signal});
  return size;
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
      hint: 'delete the directory beside the archive that ends in .layout, then run the command again',
    },
  );
}

/** All existing manifests and blobs to which the index of the layout refers, with some of the images that need each. */
async function reachedContent(
  directory: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<Digest, readonly string[]>> {
  const index = new LayoutIndex(directory, join(directory, SCRATCH));
  const entries = (await index.entries()) ?? [];
  const waiting = entries.flatMap(({digest, mediaType, annotations}) =>
    isDigest(digest) ? [{digest, mediaType, image: annotations?.[REF_NAME] ?? digest}] : [],
  );
  const below = new Map<Digest, readonly Pick<Descriptor, 'digest' | 'mediaType'>[]>();
  const reached = new Map<Digest, string[]>();
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const {digest, mediaType, image} = next;
    signal.throwIfAborted();
    const path = join(directory, 'blobs', algorithmOf(digest), hexOf(digest));
    const images = reached.get(digest);
    if (images === undefined && !(await isThere(path))) continue;
    if (images !== undefined && (images.length > NAMED || images.includes(image))) continue;
    reached.set(digest, [...(images ?? []), image]);
    if (!isManifestType(mediaType)) continue;
    let children = below.get(digest);
    if (children === undefined) {
      const bytes = await readRegular(path, MANIFEST_LIMIT, {noFollow: true});
      const {view} = parseManifest(bytes, mediaType, digest, 'local');
      children = [...childManifests(view), ...childBlobs(view)];
      below.set(digest, children);
    }
    waiting.push(...children.map((child) => ({...child, image})));
  }
  return reached;
}

/**
 * Checks that the directory for collecting an archive was created by transship: it is not a link, contains neither
 * links nor devices, and belongs to this user. Anyone who can write beside the archive could have placed another
 * directory there, to inject content or to overwrite files elsewhere.
 * @throws TransshipError DESTINATION_CONFLICT
 */
export async function throwUnlessOurs(directory: string): Promise<void> {
  const stats = await lstat(directory).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw unwritable(directory, error);
  });
  if (stats === undefined) return;
  if (!stats.isDirectory()) throw notOurs(directory, 'it is not a directory');
  if (stats.uid !== (await ownUid(dirname(directory))))
    throw notOurs(directory, 'it belongs to another user');
  for (const entry of await readdir(directory, {recursive: true, withFileTypes: true})) {
    if (entry.isFile() || entry.isDirectory()) continue;
    throw notOurs(directory, `${join(entry.parentPath, entry.name)} is neither file nor directory`);
  }
}

/** The owner of files created in a directory: a file server may map users differently from this system. */
async function ownUid(directory: string): Promise<number> {
  const probe = await mkdtemp(join(directory, '.transship-'));
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
