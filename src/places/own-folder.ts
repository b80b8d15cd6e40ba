import type {Stats} from 'node:fs';
import {chmod, lstat, readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {makeFolder, removeFile} from './durable-file.ts';

/**
 * Makes a folder that only the user may look into, whatever the umask is, and whatever an earlier version made. The path
 * may be a link, if the user made it.
 * @throws errors of the file system; Error if the link or the folder belongs to another user, who could change its content
 */
export async function privateFolder(path: string, uid = process.getuid?.()): Promise<void> {
  await makeFolder(path, 0o700);
  const [there, folder] = await Promise.all([lstat(path), stat(path)]);
  if (!isOwn(there, uid) || !isOwn(folder, uid))
    throw new Error(`${path} belongs to another user (${folder.uid})`);
  await chmod(path, 0o700);
}

/**
 * Whether there is a folder of this user: not a link, which would have files of another folder read, written and removed,
 * and not the folder of another user.
 */
export async function isOwnFolder(path: string, uid = process.getuid?.()): Promise<boolean> {
  const there = await lstat(path).catch(() => undefined);
  return there?.isDirectory() === true && isOwn(there, uid);
}

/** Makes a folder as `isOwnFolder` wants it. @throws errors of the file system; Error if something else is there */
export async function makeOwnFolder(path: string): Promise<void> {
  await makeFolder(path, 0o700);
  if (!(await isOwnFolder(path))) throw new Error(`${path} is not a folder of this user`);
}

/** @param uid undefined: the system has no user ids */
export function isOwn(stats: Stats, uid: number | undefined): boolean {
  // The administrator can change everything anyway.
  return uid === undefined || stats.uid === uid || stats.uid === 0;
}

/**
 * Removes the least recently written files of a folder until `most` are left.
 * @param pattern of the names of files that may be removed; whatever else is there stays
 */
export async function forgetOldest(folder: string, most: number, pattern: RegExp): Promise<void> {
  if (!(await isOwnFolder(folder))) return;
  const names = (await readdir(folder)).filter((name) => pattern.test(name));
  if (names.length <= most) return;
  const dated = await Promise.all(
    names.map(async (name) => ({name, at: (await lstat(join(folder, name))).mtimeMs})),
  );
  const oldest = dated.toSorted((a, b) => a.at - b.at).slice(0, names.length - most);
  for (const {name} of oldest) await removeFile(join(folder, name));
}
