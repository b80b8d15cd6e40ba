import {access, constants, readdir, stat, writeFile} from 'node:fs/promises';
import {basename, dirname, join, resolve} from 'node:path';
import {
  journalBeside,
  type JournalEntry,
  journalEntry,
  planArguments,
  readJournal,
} from '../apply/journal-file.ts';
import {deletedOf, transferUnfinished, unfinishedIn} from '../apply/unfinished.ts';
import {openRegular, readRegular} from '../http/regular-file.ts';
import {readPlanFile} from '../library/plan-file.ts';
import {type Digest, digestOf, hexOf} from '../model/digest.ts';
import {readJson} from '../model/json.ts';
import type {Shard} from '../model/outcome.ts';
import {removeFile} from '../places/durable-file.ts';
import {forgetOldest, isOwnDirectory, privateDirectory} from '../places/own-directory.ts';
import type {EarlierTransfer} from '../plan/transfer/facts.ts';
import {stateDirectory, type UserEnvironment} from './user-directories.ts';

/** The maximum bytes of a journal that are read to identify it: its first line names each project of its plan. */
const FIRST_LINE_LIMIT = 1024 * 1024;
/** Bytes that are read first, which suffice for a few projects. */
const FIRST_READ = 16 * 1024;
/** The maximum number of journals in a directory that are examined. */
const JOURNAL_LIMIT = 1_000;
/** The name of a file that says where a journal is, and the longest path, in bytes. */
const REMEMBERED_NAME = /^[0-9a-f]{64}$/;
const PATH_LIMIT = 16 * 1024;

/**
 * Refuses to overwrite a plan that was started: it is the only way to images that are only at its donor.
 * @throws TransshipError TRANSFER_UNFINISHED, JOURNAL_INVALID
 */
export async function throwIfBegun(planFile: string, io: UserEnvironment): Promise<void> {
  if (planFile === '-') return;
  // A pipe or a device is not a plan that was applied.
  const there = await stat(planFile).catch(() => undefined);
  if (there?.isFile() === false) return;
  const beside = journalBeside(planFile);
  const unfinished = unfinishedIn(await readJournal(beside));
  if (unfinished.deleted.size > 0) throw transferUnfinished(unfinished, beside, planFile);
  const id = await readPlanFile(planFile).then(
    (plan) => plan.id,
    () => undefined,
  );
  if (id === undefined) return;
  for (const journal of await rememberedJournals(io)) {
    const other = unfinishedIn(await readJournal(journal).catch(() => []));
    if (other.plan === id && other.deleted.size > 0)
      throw transferUnfinished(other, journal, planFile);
  }
}

/**
 * The journal of a plan: the one that is named; or the one beside it, for a shard its own; or the one of the last run
 * on this machine.
 */
export async function journalOf(
  plan: Digest,
  planFile: string,
  named: string | undefined,
  io: UserEnvironment,
  shard?: Shard,
): Promise<string> {
  if (named !== undefined) return named;
  const beside = journalBeside(planFile, shard);
  // For a transfer, the remembered journal may be that of another shard.
  if (shard !== undefined) return beside;
  if ((await stat(beside).catch(() => undefined)) !== undefined) return beside;
  for (const journal of await rememberedJournals(io))
    if ((await firstRun(journal).catch(() => undefined))?.plan === plan) return journal;
  return beside;
}

/**
 * Remembers on this machine where the journal of a transfer is, until `forgetTransfer`, because plans may be in any
 * directory. If the state directory is not writable, only journals beside a new plan are found.
 */
export async function rememberTransfer(journal: string, io: UserEnvironment): Promise<void> {
  try {
    await privateDirectory(stateDirectory(io.env, io.home), io.uid);
    await privateDirectory(rememberedDirectory(io), io.uid);
    await writeFile(rememberedAs(journal, io), resolve(journal), {mode: 0o600});
    await forgetOldest(rememberedDirectory(io), JOURNAL_LIMIT, REMEMBERED_NAME, io.uid);
  } catch {
    // See above.
  }
}

/**
 * The lock of a project, because two plans for it, in two directories, have different journals. Undefined: the state
 * directory is not writable, and only journals keep runs apart.
 */
export async function projectLock(
  gitlab: string,
  project: number,
  io: UserEnvironment,
): Promise<string | undefined> {
  const directory = join(stateDirectory(io.env, io.home), 'locks');
  try {
    await privateDirectory(stateDirectory(io.env, io.home), io.uid);
    await privateDirectory(directory, io.uid);
    await access(directory, constants.W_OK);
  } catch {
    return undefined;
  }
  return join(directory, `${hexOf(digestOf(`${gitlab} ${project}`))}.lock`);
}

/**
 * Forgets a transfer that is finished, or changed nothing permanently. A journal that is not beside its plan is still
 * remembered, because nothing else leads from the plan to it.
 */
export async function forgetTransfer(
  journal: string,
  planFile: string,
  io: UserEnvironment,
): Promise<void> {
  if (resolve(journal) !== resolve(journalBeside(planFile))) return;
  await removeFile(rememberedAs(journal, io)).catch(() => undefined);
}

async function rememberedJournals(io: UserEnvironment): Promise<readonly string[]> {
  const directory = rememberedDirectory(io);
  if (!(await isOwnDirectory(directory, io.uid))) return [];
  const names = (await readdir(directory).catch(() => [])).filter((name) =>
    REMEMBERED_NAME.test(name),
  );
  const read = names
    .slice(0, JOURNAL_LIMIT)
    .map((name) => readRegular(join(directory, name), PATH_LIMIT, {noFollow: true}));
  return (await Promise.allSettled(read)).flatMap((one) =>
    one.status === 'fulfilled' ? [one.value.toString()] : [],
  );
}

function rememberedAs(journal: string, io: UserEnvironment): string {
  return join(rememberedDirectory(io), hexOf(digestOf(resolve(journal))));
}

function rememberedDirectory({env, home}: UserEnvironment): string {
  return join(stateDirectory(env, home), 'transfers');
}

/**
 * Earlier transfers of this project according to journals: those in a directory, and those of transfers that were
 * started on this machine. Other files are ignored.
 */
export async function findEarlierTransfers(
  directory: string,
  gitlab: string,
  project: number,
  io: UserEnvironment,
): Promise<readonly EarlierTransfer[]> {
  const names = (await readdir(directory).catch(() => [])).filter((name) =>
    name.endsWith('.ndjson'),
  );
  const beside = names.slice(0, JOURNAL_LIMIT).map((name) => resolve(directory, name));
  const found: EarlierTransfer[] = [];
  for (const file of new Set([...beside, ...(await rememberedJournals(io))])) {
    const transfer = (await firstRun(file).catch(() => undefined))?.transfer;
    const owner = transfer?.projects.find(({id}) => id === project);
    if (transfer?.gitlab !== gitlab || owner === undefined) continue;
    const unfinished = unfinishedIn(await readJournal(file));
    const deleted = deletedOf(unfinished, project);
    const paused = unfinished.paused.get(project);
    if (deleted.length === 0 && paused === undefined) continue;
    const {from, donor} = owner;
    const planFile = planArguments(await planFileOf(file, transfer.planFile), file);
    const tags = deleted.map(({repository, tag}) => ({repository, tag}));
    found.push({planFile, from, donor, deleted: tags, ...(paused === undefined ? {} : {paused})});
  }
  return found;
}

/** The current path of a journal's plan: beside it, if both were moved; otherwise the path that `apply` was given. */
async function planFileOf(journal: string, given: string): Promise<string> {
  const beside = join(dirname(journal), basename(given));
  return (await stat(beside).catch(() => undefined)) === undefined ? given : beside;
}

/** The first line of a journal; undefined: it is not a journal. @throws if it cannot be read */
async function firstRun(file: string): Promise<Extract<JournalEntry, {type: 'run'}> | undefined> {
  await using handle = await openRegular(file);
  for (let size = FIRST_READ; size <= FIRST_LINE_LIMIT; size *= 8) {
    const {buffer, bytesRead} = await handle.read(Buffer.alloc(size), 0, size, 0);
    const end = buffer.subarray(0, bytesRead).indexOf('\n');
    if (end < 0 && bytesRead === size) continue;
    const line = buffer.toString('utf8', 0, end < 0 ? bytesRead : end);
    const entry = readJson(line, journalEntry);
    return entry?.type === 'run' ? entry : undefined;
  }
  return undefined;
}
