import {lstat, readdir, rm, rmdir, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {algorithmOf, type Digest, hexOf, isDigest} from '../model/digest.ts';
import {hasCode, isMissing} from './file-error.ts';
import {tabulate} from './layout-entries.ts';
import {LayoutIndex} from './layout-index.ts';
import {removeFile} from './durable-file.ts';
import {SCRATCH} from './directory-files.ts';

/** The entries at the top of a layout (image-spec image-layout.md), and the scratch directory; true: a directory. */
const LAYOUT_NAMES: ReadonlyMap<string, boolean> = new Map([
  ['oci-layout', false],
  ['index.json', false],
  ['blobs', true],
  [SCRATCH, true],
]);

/**
 * The first path that does not belong into a directory of image layouts, one in each of its directories; undefined: the
 * directory has only layouts, or does not exist yet. The directory itself may be a link; links in it do not belong
 * there.
 * @throws errors of the file system
 */
export async function strangerAmongLayouts(directory: string): Promise<string | undefined> {
  const there = await stat(directory).catch(missing);
  if (there === undefined) return fileAbove(directory);
  if (!there.isDirectory()) return directory;
  for (const name of await readdir(directory)) {
    const stranger = await strangerInLayout(join(directory, name));
    if (stranger !== undefined) return stranger;
  }
  return undefined;
}

/**
 * The first path that does not belong into an image layout written by transship, or the path itself if it is not a
 * directory; undefined: it is a layout, perhaps an incomplete one of a killed run, or it is empty, or does not exist.
 */
export async function strangerInLayout(directory: string): Promise<string | undefined> {
  const there = await lstat(directory).catch(missing);
  if (there === undefined) return undefined;
  if (!there.isDirectory()) return directory;
  const entries = await readdir(directory, {withFileTypes: true});
  const stranger = entries.find((entry) => LAYOUT_NAMES.get(entry.name) !== entry.isDirectory());
  if (stranger !== undefined) return join(directory, stranger.name);
  const names = new Set(entries.map(({name}) => name));
  // `oci-layout` is written before `index.json`: an index.json alone belongs to somebody else.
  return names.has('index.json') && !names.has('oci-layout')
    ? join(directory, 'index.json')
    : undefined;
}

/** Whether a path does not exist, or is a directory that contains at most the scratch directory. */
export async function isVacant(directory: string): Promise<boolean> {
  const names = await readdir(directory).catch(missing);
  return names === undefined || names.every((name) => name === SCRATCH);
}

/**
 * Whether a layout lists no manifests and tags other than these.
 * @throws TransshipError FILE_INVALID, FILE_UNREADABLE
 */
export async function listsOnly(
  directory: string,
  digests: ReadonlySet<string>,
  tags: ReadonlySet<string>,
): Promise<boolean> {
  const entries = (await new LayoutIndex(directory, join(directory, SCRATCH)).entries()) ?? [];
  return (
    entries.every(({digest}) => digests.has(digest)) &&
    [...tabulate(entries).tags.keys()].every((tag) => tags.has(tag))
  );
}

/**
 * Removes a layout with these of its blobs. If it has other files, those and the directory are kept.
 * @returns whether the directory was removed
 */
export async function removeLayout(directory: string, blobs: Iterable<Digest>): Promise<boolean> {
  // The index first: if the process is killed here, no incomplete layout remains.
  for (const name of ['index.json', 'oci-layout']) await removeFile(join(directory, name));
  const below = join(directory, 'blobs');
  for (const digest of blobs) await removeFile(join(below, algorithmOf(digest), hexOf(digest)));
  await rm(join(directory, SCRATCH), {recursive: true, force: true});
  for (const algorithm of ['sha256', 'sha512']) await removeIfEmpty(join(below, algorithm));
  await removeIfEmpty(below);
  return removeIfEmpty(directory);
}

/** The digests of all blobs of a layout, listed or not. */
export async function digestsIn(directory: string): Promise<readonly Digest[]> {
  const found: string[] = [];
  for (const algorithm of ['sha256', 'sha512']) {
    const names = (await readdir(join(directory, 'blobs', algorithm)).catch(missing)) ?? [];
    found.push(...names.map((name) => `${algorithm}:${name}`));
  }
  return found.filter(isDigest);
}

/** Removes a directory if it is empty. @returns whether it no longer exists */
export async function removeIfEmpty(directory: string): Promise<boolean> {
  try {
    await rmdir(directory);
    return true;
  } catch (error) {
    if (isMissing(error)) return true;
    // ENOTEMPTY or EEXIST: not empty (POSIX allows both). EBUSY: a mount point. EINVAL: the current directory.
    const stays = ['ENOTEMPTY', 'EEXIST', 'EBUSY', 'EINVAL'].some((code) => hasCode(error, code));
    if (stays) return false;
    throw error;
  }
}

/** The file that prevents creating a directory; undefined: it can be created. */
async function fileAbove(directory: string): Promise<string | undefined> {
  for (let at = dirname(directory); ; at = dirname(at)) {
    const there = await stat(at).catch(missing);
    if (there !== undefined) return there.isDirectory() ? undefined : at;
    if (dirname(at) === at) return undefined;
  }
}

function missing(error: unknown): undefined {
  if (isMissing(error)) return undefined;
  throw error;
}
