import type {Stats} from 'node:fs';
import {chmod, lstat, readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {makeDirectory, removeFile} from './durable-file.ts';

/** How a cache is kept in a directory. */
export interface CacheOptions {
  /** Maximum size in bytes, as the cache counts it. */
  readonly limit?: number;
  /** The user's id. The directory has to belong to this user, or the cache is empty. Default: not compared. */
  readonly uid?: number | undefined;
}

/**
 * Creates a directory that only the user can access, whatever the umask and an existing directory are. The path may be
 * a link, if the user created it.
 * @throws errors of the file system; Error if the link or the directory belongs to another user
 */
export async function privateDirectory(path: string, uid: number | undefined): Promise<void> {
  await makeDirectory(path, 0o700);
  const [there, directory] = await Promise.all([lstat(path), stat(path)]);
  if (!isOwn(there, uid) || !isOwn(directory, uid))
    throw new Error(`${path} belongs to another user (${directory.uid})`);
  await chmod(path, 0o700);
}

/**
 * Whether there is a directory of this user, neither of another one nor a link: files of another directory would be
 * read, written and removed.
 */
export async function isOwnDirectory(path: string, uid: number | undefined): Promise<boolean> {
  const there = await lstat(path).catch(() => undefined);
  return there?.isDirectory() === true && isOwn(there, uid);
}

/** Creates a directory, unless this user has it. @throws errors of the file system; Error if something else is there */
export async function makeOwnDirectory(path: string, uid: number | undefined): Promise<void> {
  await makeDirectory(path, 0o700);
  if (!(await isOwnDirectory(path, uid)))
    throw new Error(`${path} is not a directory of this user`);
}

/** @param uid undefined: not known, or the system has no user ids; it is not compared then */
export function isOwn(stats: Stats, uid: number | undefined): boolean {
  // The administrator can change everything anyway.
  return uid === undefined || stats.uid === uid || stats.uid === 0;
}

/**
 * Removes the least recently written files of a directory until `most` are left.
 * @param pattern of the names of files that may be removed; whatever else is there stays
 */
export async function forgetOldest(
  directory: string,
  most: number,
  pattern: RegExp,
  uid: number | undefined,
): Promise<void> {
  if (!(await isOwnDirectory(directory, uid))) return;
  const names = (await readdir(directory)).filter((name) => pattern.test(name));
  if (names.length <= most) return;
  const dated = await Promise.all(
    names.map(async (name) => ({name, at: (await lstat(join(directory, name))).mtimeMs})),
  );
  const oldest = dated.toSorted((a, b) => a.at - b.at).slice(0, names.length - most);
  for (const {name} of oldest) await removeFile(join(directory, name));
}
