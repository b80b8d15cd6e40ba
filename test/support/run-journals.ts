import type {JournalEntry} from '../../src/apply/journal-file.ts';
import type {StatusJournal} from '../../src/apply/plan-status.ts';
import {copiesOf, type CopyPlan, type CopyStep} from '../../src/model/plan.ts';

const BEGIN = Date.parse('2026-03-02T20:00:00Z');
const MINUTE = 60_000;

/**
 * Journals of shards that applied a plan: one run each that is killed half-way, a night, and a run that ends. Of every
 * 40 images one fails in the second run, of every 25 blobs one is tried again.
 */
export function shardJournals(plan: CopyPlan, shards: number): readonly StatusJournal[] {
  const copies = copiesOf(plan);
  return Array.from({length: shards}, (_, shard) => {
    const own = copies.filter((_step, at) => at % shards === shard);
    const half = Math.floor(own.length / 2);
    const begin = BEGIN + (shard * MINUTE) / 2;
    const night = begin + 12 * 60 * MINUTE;
    return {
      file: `acme.${shard + 1}-of-${shards}.journal.ndjson`,
      entries: [
        ...run(plan, own.slice(0, half), begin, false),
        ...run(plan, own.slice(half), night, true),
        {type: 'end', result: 'failed', at: iso(night + 20 * MINUTE)},
      ],
    };
  });
}

function run(
  plan: CopyPlan,
  copies: readonly CopyStep[],
  begin: number,
  fails: boolean,
): readonly JournalEntry[] {
  const each = (20 * MINUTE) / Math.max(1, copies.length);
  const blobs = Map.groupBy(plan.blobs, ({to}) => to);
  const entries = copies.flatMap((step, at): JournalEntry[] => {
    const ms = 2000 + ((at * 7919) % 30) * 1000;
    const time = iso(begin + Math.min(20 * MINUTE, each * at + ms));
    const digest = blobs.get(step.to)?.[0]?.digest ?? step.digest;
    const isRetried = at % 25 === 0;
    return [
      ...(isRetried
        ? [
            {
              type: 'retry',
              at: time,
              what: `${digest} to ${step.to}`,
              delayMs: 1500,
              code: 'HTTP_503',
              side: 'destination',
            } as const,
          ]
        : []),
      {
        type: 'blob',
        digest,
        to: step.to,
        outcome: 'copied',
        at: time,
        ms,
        bytes: 3_000_000 + ((at * 104_729) % 90) * 1_000_000,
        ...(isRetried ? {retries: 1} : {}),
      },
      fails && at % 40 === 7
        ? {type: 'step', id: step.id, outcome: 'failed', at: time, ms, error: REFUSED}
        : {type: 'step', id: step.id, outcome: 'done', at: time, ms},
    ];
  });
  return [{type: 'run', plan: plan.id, at: iso(begin)}, ...entries];
}

const REFUSED = {
  code: 'MANIFEST_REFUSED',
  side: 'destination',
  retry: false,
  message: 'the registry refuses the manifest: unknown media type <b>x</b>',
  hint: 'exclude the image',
} as const;

function iso(time: number): string {
  return new Date(time).toISOString();
}
