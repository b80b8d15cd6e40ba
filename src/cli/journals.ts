import {access, glob} from 'node:fs/promises';
import {TransshipError} from '../model/error.ts';
import {compareNatural} from '../plan/compare.ts';

/**
 * The journals that a command-line argument names: a file, or a pattern such as `journals/*.ndjson` that the shell did
 * not expand. The journal beside a plan need not exist before the first run, but a named journal must exist.
 * @throws TransshipError FILE_UNREADABLE
 */
export async function filesNamed(word: string): Promise<readonly string[]> {
  if (await isThere(word)) return [word];
  const found: string[] = [];
  if (/[*?[{]/.test(word)) for await (const file of glob(word)) found.push(file);
  if (found.length > 0) return found.toSorted(compareNatural);
  throw new TransshipError('FILE_UNREADABLE', `there is no journal ${word}`, {
    side: 'local',
    hint: 'name a file written by "apply --journal"',
  });
}

export async function isThere(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}
