import {isUtf8} from 'node:buffer';
import {lstat, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {readRegular} from '../http/regular-file.ts';
import {globMatcher} from '../model/glob.ts';

/** Maximum size of a file, in bytes: configuration files are smaller. */
const SIZE_LIMIT = 1024 * 1024;
/** Maximum number of files; checkouts have fewer. */
const FILE_LIMIT = 500_000;
/** Maximum nesting of directories. Links are not followed, so there are no loops. */
const DEPTH_LIMIT = 100;

/** A text file of a checkout. */
export interface TextFile {
  /** Relative to the directory, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** A rule of a `.gitignore`. */
interface IgnoreRule {
  /** The directory of its file, relative to the root; empty, or with a trailing `/`. */
  readonly base: string;
  readonly isNegated: boolean;
  readonly isForDirectories: boolean;
  readonly matches: (path: string) => boolean;
}

/**
 * The text files below a directory, in the order of their names, without files that `.gitignore` files exclude, `.git`
 * itself, binary and large files, and links.
 * @throws an error of the file system if a directory cannot be read
 */
export async function* textFiles(root: string, signal: AbortSignal): AsyncGenerator<TextFile> {
  let count = 0;
  const walk = async function* (
    below: string,
    rules: readonly IgnoreRule[],
    depth: number,
  ): AsyncGenerator<TextFile> {
    signal.throwIfAborted();
    const entries = await readdir(join(root, below), {withFileTypes: true});
    const own = entries.some((entry) => entry.isFile() && entry.name === '.gitignore')
      ? [...rules, ...rulesOf(await ignoreFile(join(root, below, '.gitignore')), below)]
      : rules;
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = `${below}${entry.name}`;
      if (entry.name === '.git' || isIgnored(path, entry.isDirectory(), own)) continue;
      if (entry.isDirectory() && depth < DEPTH_LIMIT) {
        yield* walk(`${path}/`, own, depth + 1);
        continue;
      }
      count += 1;
      if (!entry.isFile() || count > FILE_LIMIT) continue;
      const text = await readText(join(root, path));
      if (text !== undefined) yield {path, text};
    }
  };
  yield* walk('', [], 0);
}

/** The content of a file; undefined: it is binary, not UTF-8, too large, or unreadable. */
async function readText(file: string): Promise<string | undefined> {
  const found = await lstat(file).catch(() => undefined);
  if (found === undefined || found.size > SIZE_LIMIT) return undefined;
  const bytes = await readRegular(file, SIZE_LIMIT, {noFollow: true}).catch(() => undefined);
  if (bytes === undefined || bytes.includes(0) || !isUtf8(bytes)) return undefined;
  return bytes.toString('utf8');
}

async function ignoreFile(file: string): Promise<string> {
  const bytes = await readRegular(file, SIZE_LIMIT, {noFollow: true}).catch(() => undefined);
  return bytes?.toString('utf8') ?? '';
}

/** Whether the last matching rule excludes the path (gitignore(5)). */
function isIgnored(path: string, isDirectory: boolean, rules: readonly IgnoreRule[]): boolean {
  const rule = rules.findLast(
    ({base, isForDirectories, matches}) =>
      (isDirectory || !isForDirectories) && matches(path.slice(base.length)),
  );
  return rule !== undefined && !rule.isNegated;
}

/** gitignore(5), "Pattern format". */
function rulesOf(text: string, base: string): readonly IgnoreRule[] {
  return text.split('\n').flatMap((line): IgnoreRule[] => {
    const trimmed = line.replace(/\r$/, '').replace(/(?<!\\) +$/, '');
    if (trimmed === '' || trimmed.startsWith('#')) return [];
    const isNegated = trimmed.startsWith('!');
    const body = trimmed.replace(/^!/, '').replace(/^\\([#!])/, '$1');
    const isForDirectories = body.endsWith('/');
    const bare = body.replace(/\/$/, '');
    const isAnchored = bare.includes('/');
    const glob = isAnchored ? bare.replace(/^\//, '') : `**/${bare}`;
    // git supports only `*`, `?`, `[…]` and `**`.
    const plain = glob.replaceAll(/[{}()+@!|]/g, '\\$&');
    const matches = globMatcher(plain, 'paths');
    return typeof matches === 'string' ? [] : [{base, isNegated, isForDirectories, matches}];
  });
}
