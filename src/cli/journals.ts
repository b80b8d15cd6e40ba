import {access, glob} from 'node:fs/promises';
import {readJournal} from '../apply/journal-file.ts';
import type {StatusJournal} from '../apply/plan-status.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import {compareNatural} from '../plan/compare.ts';

/**
 * The journals that a word of the command line names: a file, or a pattern such as `journals/*.ndjson`, which a shell may
 * have left alone. Before the first run there is no journal beside the plan; one that is named is meant to be there.
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

/**
 * Beside a plan that was made anew, there is the journal of the one before, until it is applied.
 * @throws TransshipError JOURNAL_INVALID, also where a journal that was named is that of another plan
 */
export async function entriesFor(
  plan: Digest,
  file: string,
  isNamed: boolean,
): Promise<StatusJournal> {
  const entries = await readJournal(file);
  const isOther = entries.some((entry) => entry.type === 'run' && entry.plan !== plan);
  if (!isOther) return {file, entries};
  if (!isNamed) return {file, entries: []};
  throw new TransshipError('JOURNAL_INVALID', `${file} is the journal of another plan`, {
    side: 'local',
    hint: 'name the journals of this plan, or the plan that it belongs to',
  });
}

export async function isThere(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}
