import {readdir, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {type JournalEntry, journalEntry} from '../apply/journal-entry.ts';
import {readJournal} from '../apply/journal-file.ts';
import {transferUnfinished, unfinishedIn} from '../apply/unfinished.ts';
import {openRegular} from '../http/regular-file.ts';
import type {EarlierTransfer} from '../plan/transfer/facts.ts';
import {journalBeside} from './run-plan.ts';

/** The most of a journal that is read to see whose it is, in bytes. */
const FIRST_LINE_LIMIT = 16 * 1024;
/** Journals of one folder that are looked at; nobody has more transfers under way. */
const JOURNAL_LIMIT = 1_000;

/**
 * A plan that has begun is the only way to images that are at its donor alone, so it is not written over.
 * @throws TransshipError TRANSFER_UNFINISHED, JOURNAL_INVALID
 */
export async function throwIfBegun(planFile: string): Promise<void> {
  // A pipe or a device is no plan that was applied.
  const there = await stat(planFile).catch(() => undefined);
  if (there?.isFile() === false) return;
  const journal = journalBeside(planFile);
  const unfinished = unfinishedIn(await readJournal(journal));
  if (unfinished.deleted.size > 0) throw transferUnfinished(unfinished, journal);
}

/** What the journals in a folder say about earlier transfers of this project; files that are none are passed over. */
export async function findEarlierTransfers(
  folder: string,
  gitlab: string,
  project: number,
): Promise<readonly EarlierTransfer[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.ndjson'));
  const found: EarlierTransfer[] = [];
  for (const name of names.slice(0, JOURNAL_LIMIT)) {
    const file = join(folder, name);
    const owner = await ownerOf(file).catch(() => undefined);
    if (owner?.gitlab !== gitlab || owner.project !== project) continue;
    const unfinished = unfinishedIn(await readJournal(file));
    const {deleted} = unfinished;
    const paused = unfinished.paused.get(project);
    if (deleted.size === 0 && paused === undefined) continue;
    const {from, donor, planFile} = owner;
    const tags = [...deleted.values()].map(({repository, tag}) => ({repository, tag}));
    found.push({planFile, from, donor, deleted: tags, ...(paused === undefined ? {} : {paused})});
  }
  return found;
}

/** Whose a journal is, by its first line; undefined: no journal of a transfer. @throws where it cannot be read */
async function ownerOf(
  file: string,
): Promise<Extract<JournalEntry, {type: 'run'}>['transfer'] | undefined> {
  await using handle = await openRegular(file);
  const {buffer, bytesRead} = await handle.read(Buffer.alloc(FIRST_LINE_LIMIT));
  const [line = ''] = buffer.toString('utf8', 0, bytesRead).split('\n');
  const entry = journalEntry.safeParse(JSON.parse(line));
  return entry.success && entry.data.type === 'run' ? entry.data.transfer : undefined;
}
