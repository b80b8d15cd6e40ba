import {createHash, randomBytes} from 'node:crypto';
import {createWriteStream} from 'node:fs';
import {type FileHandle, lstat, mkdtemp, open, readdir, rename, rmdir} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {pack} from 'tar-stream';
import {openRegular, readRegular} from '../http/regular-file.ts';
import type {Descriptor} from '../model/descriptor.ts';
import {algorithmOf, type Digest, finishDigest, hexOf, isDigest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {childBlobs, childManifests, MANIFEST_LIMIT, parseManifest} from '../model/manifest.ts';
import {isManifestType} from '../model/media-type.ts';
import {decompress} from './archive-compression.ts';
import {isMissing, unwritable} from './file-error.ts';
import {LayoutIndex} from './layout-index.ts';
import {makeFolder, removeFile} from './durable-file.ts';
import {notAnArchive, readTar} from './tar-archive.ts';

/** The files of an image layout (image-spec image-layout.md); other entries of an archive are skipped. */
const LAYOUT_FILE =
  /^(?:\.\/)?(oci-layout|index\.json|blobs\/(?:sha256|sha512)\/[a-f0-9]{64,128})$/;

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
    const unpack = async (name: string, content: AsyncIterable<Uint8Array>): Promise<void> => {
      const target = join(directory, name);
      await makeFolder(dirname(target));
      // If several entries have the same name, the last one counts.
      await removeFile(target);
      await pipeline(content, createWriteStream(target, {flags: 'wx'}), {signal});
      files += 1;
    };
    await readTar(decompressed?.file ?? given, signal, ({name, type}, content) => {
      const known = type === 'file' ? LAYOUT_FILE.exec(name)?.[1] : undefined;
      return known === undefined ? undefined : unpack(known, content);
    });
  } catch (error) {
    signal.throwIfAborted();
    throw notAnArchive(file, error);
  }
  if (files === 0) throw notAnArchive(file, new Error('it contains no image layout'));
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
