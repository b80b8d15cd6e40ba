import {realpath} from 'node:fs/promises';
import {basename, dirname, join, resolve} from 'node:path';
import {TransshipError} from '../model/error.ts';

/** A file on the command line, and the argument that names it. */
export interface NamedFile {
  /** Such as `--out`, or `<file>` for an argument. */
  readonly name: string;
  readonly file: string | undefined;
}

/**
 * Ensures that an output file is not one of the other files.
 * @throws TransshipError USAGE
 */
export async function throwIfSameFile(
  written: NamedFile,
  others: readonly NamedFile[],
): Promise<void> {
  if (written.file === undefined) return;
  const path = await realPath(written.file);
  for (const {name, file} of others) {
    if (file === undefined || (await realPath(file)) !== path) continue;
    throw new TransshipError('USAGE', `${written.name} and ${name} name the same file: ${file}`, {
      side: 'local',
      hint: `name another file with ${written.name}`,
    });
  }
}

async function realPath(file: string): Promise<string> {
  return await realpath(file).catch(async () => {
    const directory = resolve(dirname(file));
    return join(await realpath(directory).catch(() => directory), basename(file));
  });
}
