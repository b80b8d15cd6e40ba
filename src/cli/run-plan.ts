import {chmod} from 'node:fs/promises';
import {join} from 'node:path';
import {journalBeside} from '../apply/journal-file.ts';
import {KeptManifests} from '../apply/kept-manifests.ts';
import {restoreDeleted} from '../apply/restore-tags.ts';
import {undoBeside} from '../apply/undo-file.ts';
import {
  type ApplyOptions,
  noJournalDirectory,
  openPlanJournal,
  tellingOfStop,
} from '../library/apply-plan.ts';
import type {Session} from '../library/session.ts';
import {makeDirectory} from '../places/durable-file.ts';
import {digestOf, hexOf} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {RunEnd, RunResult} from '../model/outcome.ts';
import {type CopyPlan, type DeleteStep, deletionsOf, type Wish} from '../model/plan.ts';
import {counted} from '../report/words.ts';
import type {Io} from './io.ts';
import type {RunFlags} from './options.ts';
import {stateDirectory} from './user-directories.ts';

/** The options for copying images, from flags. */
export function runOptions({onFailure, jobs, chunkSize, limitRate}: RunFlags): ApplyOptions {
  return {
    onFailure,
    ...(jobs === undefined ? {} : {jobs}),
    ...(chunkSize === undefined ? {} : {chunkSize}),
    ...(limitRate === undefined ? {} : {limitRate}),
  };
}

/**
 * Asks for confirmation at the terminal, unless a flag confirms.
 * @throws TransshipError USAGE if there is no terminal
 */
export function deletionConsent(
  {yes}: {readonly yes?: boolean},
  {ask}: Io,
): NonNullable<ApplyOptions['confirmDeletions']> {
  return (deletions) => yes === true || confirmed(deletions, ask);
}

async function confirmed(deletions: readonly DeleteStep[], ask: Io['ask']): Promise<boolean> {
  const repositories = new Set(deletions.map(({repository}) => repository));
  const [first] = repositories;
  const where = repositories.size === 1 ? first : `${repositories.size} repositories`;
  const what = `${counted(deletions.length, 'tag')} in ${where}`;
  if (ask === undefined) {
    throw new TransshipError(
      'USAGE',
      `the plan deletes ${what}, and there is no terminal to ask at`,
      {side: 'local', hint: 'confirm with --yes; nothing was done'},
    );
  }
  const moved = deletions.some(({reason}) => reason === 'moved');
  const safely = moved ? ', moved ones after they are verified at the destination' : '';
  return await ask(`The plan deletes ${what}${safely}. Continue?`);
}

/**
 * The journal of a copy without a plan file. Its name depends on the request, so that the same command finds it again.
 * @throws TransshipError JOURNAL_WRITE_FAILED
 */
export async function journalOfWish(wish: Wish, {env, home}: Io): Promise<string> {
  const directory = stateDirectory(env, home);
  const key = hexOf(digestOf(JSON.stringify(wish))).slice(0, 32);
  const file = join(directory, `${key}.journal.ndjson`);
  try {
    // Of another user as well: a journal permits nothing.
    await makeDirectory(directory, 0o700);
    await chmod(directory, 0o700);
  } catch (cause) {
    throw noJournalDirectory(file, cause);
  }
  return file;
}

/**
 * Restores tags that a plan deleted.
 * @throws TransshipError USAGE if the plan deletes nothing, FILE_UNREADABLE, FILE_INVALID; as `openPlanJournal`
 */
export async function runRestore(
  plan: CopyPlan,
  planFile: string,
  flags: RunFlags & {readonly undo?: string},
  session: Session,
): Promise<RunResult> {
  const {places: repositories, report, interruption} = session;
  if (deletionsOf(plan).length === 0) {
    throw new TransshipError('USAGE', `${planFile} deletes nothing`, {
      side: 'local',
      hint: 'rollback is for transfers and for plans that delete tags; a copy does not change its source',
    });
  }
  // Not concurrently with a run that deletes, because both would examine the same tags.
  await using journal = await openPlanJournal(
    {file: flags.journal ?? journalBeside(planFile), plan: plan.id},
    session,
  );
  await using kept = await KeptManifests.open(flags.undo ?? undoBeside(planFile), plan.id);
  const result = await tellingOfStop(session, () =>
    restoreDeleted(plan, {repositories, kept, report}, interruption),
  );
  await journal.end(result.result);
  return result;
}

/** The exit code for each end of a run (docs/errors.md). */
export const RUN_EXIT: Readonly<Record<RunEnd, number>> = {
  done: 0,
  incomplete: 1,
  failed: 1,
  drift: 4,
  interrupted: 130,
};
