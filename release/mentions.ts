import {readdir, readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {PROJECT, readProduct} from './release.ts';

/*
 * `npm version`: names the new version where pages, examples and the component name that of an image, a file or a tag
 * to copy from.
 */

const FILES = ['README.md', 'docs', 'examples', 'templates'];

/** Where a text names a version of ours. */
const MENTIONS = [
  /(?<=\btransship\/transship[:@]v?)\d+\.\d+\.\d+/g,
  /(?<=\btransship-)\d+\.\d+\.\d+/g,
  /(?<=\b(?:releases\/download|refs\/tags|git checkout)[/ ]v)\d+\.\d+\.\d+/g,
  /(?<=^ {4}version:\n {6}.*\n {6}default: )\d+\.\d+\.\d+/gm,
];

/** The versions that each text names, by file. */
export async function mentionedVersions(): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  for (const file of await filesToRead()) {
    const text = await readFile(file, 'utf8');
    const versions = MENTIONS.flatMap((pattern) => text.match(pattern) ?? []);
    if (versions.length > 0) found.set(file, versions);
  }
  return found;
}

async function mention(version: string): Promise<void> {
  for (const file of await filesToRead()) {
    const text = await readFile(file, 'utf8');
    const changed = MENTIONS.reduce((all, pattern) => all.replaceAll(pattern, version), text);
    if (changed !== text) await writeFile(file, changed);
  }
}

async function filesToRead(): Promise<readonly string[]> {
  const lists = await Promise.all(
    FILES.map(async (name) => {
      const path = join(PROJECT, name);
      if (name.endsWith('.md')) return [path];
      const entries = await readdir(path, {recursive: true, withFileTypes: true});
      return entries
        .filter((entry) => entry.isFile())
        .map(({parentPath, name: file}) => join(parentPath, file));
    }),
  );
  return lists.flat();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  await mention((await readProduct()).version);
