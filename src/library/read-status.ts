import {readJournal} from '../apply/journal-file.ts';
import {planStatus, type StatusJournal} from '../apply/plan-status.ts';
import type {Digest} from '../model/digest.ts';
import {TransshipError} from '../model/error.ts';
import type {StatusResult} from '../model/outcome.ts';
import type {CopyPlan} from '../model/plan.ts';

/**
 * How far a plan is, by the journals of the runs that apply it: several, where it is applied in shards. No registry is
 * asked. A file that is not there yet counts as an empty journal.
 * @throws TransshipError JOURNAL_INVALID, also for the journal of another plan
 */
export async function readStatus(
  plan: CopyPlan,
  journals: readonly string[],
): Promise<StatusResult> {
  return planStatus(plan, await Promise.all(journals.map((file) => readJournalOf(plan.id, file))));
}

/** @throws TransshipError JOURNAL_INVALID, also where it is the journal of another plan */
export async function readJournalOf(plan: Digest, file: string): Promise<StatusJournal> {
  const entries = await readJournal(file);
  const isOther = entries.some((entry) => entry.type === 'run' && entry.plan !== plan);
  if (!isOther) return {file, entries};
  throw new TransshipError('JOURNAL_INVALID', `${file} is the journal of another plan`, {
    side: 'local',
    hint: 'name the journals of this plan, or the plan that it belongs to',
  });
}
