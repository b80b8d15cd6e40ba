import type {StatusResult} from '../model/outcome.ts';
import type {CopyPlan} from '../model/plan.ts';
import {openUploads, uploadKey} from './journal.ts';
import type {JournalEntry} from './journal-entry.ts';

/**
 * How far a plan is, by what its journals say. Nothing is asked of any registry.
 * @param journals the entries of each journal: one, or one for each machine that works on the plan
 */
export function planStatus(
  plan: CopyPlan,
  journals: readonly (readonly JournalEntry[])[],
): StatusResult {
  const entries = journals.flat();
  const outcomes = new Map<string, 'done' | 'failed'>();
  const blobsDone = new Set<string>();
  for (const entry of entries) {
    if (entry.type === 'blob') blobsDone.add(uploadKey(entry.digest, entry.to));
    if (entry.type !== 'step') continue;
    outcomes.set(
      entry.id,
      entry.outcome === 'done' || entry.outcome === 'present' ? 'done' : 'failed',
    );
  }
  const outcomesOfPlan = plan.steps.map(({id}) => outcomes.get(id));
  const done = outcomesOfPlan.filter((outcome) => outcome === 'done').length;
  const failed = outcomesOfPlan.filter((outcome) => outcome === 'failed').length;
  const copied = plan.blobs.filter(({action}) => action === 'copy');
  const uploads = openUploads(entries);
  const ended = endOf(journals);
  return {
    plan: plan.id,
    steps: {done, failed, left: plan.steps.length - done - failed, total: plan.steps.length},
    bytes: {
      done: sum(copied.filter(({digest, to}) => blobsDone.has(uploadKey(digest, to)))),
      total: sum(copied),
    },
    uploads: copied.flatMap(({digest, to, size}) => {
      const upload = uploads.get(uploadKey(digest, to));
      return upload === undefined ? [] : [{digest, to, offset: upload.offset, size}];
    }),
    ...(ended === undefined ? {} : {ended}),
  };
}

/** The worst end of the journals' last runs; undefined while one of them has not ended. */
function endOf(journals: readonly (readonly JournalEntry[])[]): StatusResult['ended'] {
  const ends = journals.map((entries) => entries.at(-1));
  if (ends.length === 0 || ends.some((entry) => entry?.type !== 'end')) return undefined;
  const results = ends.flatMap((entry) => (entry?.type === 'end' ? [entry.result] : []));
  return (['drift', 'failed', 'interrupted', 'done'] as const).find((end) => results.includes(end));
}

function sum(blobs: readonly {readonly size: number}[]): number {
  return blobs.reduce((total, {size}) => total + size, 0);
}
