import {readdir} from 'node:fs/promises';
import {dirname, join, resolve} from 'node:path';
import type {Command} from 'commander';
import {isShardJournal, planArguments, readJournal} from '../../apply/journal-file.ts';
import {planStatus, type StatusJournal} from '../../apply/plan-status.ts';
import {readJournalOf} from '../../library/read-status.ts';
import type {Digest} from '../../model/digest.ts';
import type {Shard} from '../../model/outcome.ts';
import {compareNatural} from '../../plan/compare.ts';
import {type OutcomeFormat, renderStatus} from '../../report/run-document.ts';
import {journalOf} from '../earlier-transfers.ts';
import type {Io} from '../io.ts';
import {filesNamed, isThere} from '../journals.ts';
import {addFormatFlag, collect} from '../options.ts';
import {givenPlan} from '../plan-file.ts';
import {addShardFlag, type PartFlags, partToApply, readPart} from '../plan-part.ts';

interface Flags extends PartFlags {
  readonly format: OutcomeFormat;
  readonly journal?: readonly string[];
}

/** `transship status`: the progress of a plan, without requests to registries. */
export function addStatus(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('status')
    .summary('show the progress recorded in the journal')
    .argument('<plan>', 'a plan file written by "plan … --out" (-: stdin)')
    .option(
      '--journal <file>',
      'read this journal, or all that match a pattern (repeatable; default: those beside the plan)',
      collect,
    )
    .addHelpText(
      'after',
      `
Examples:
  transship status app.plan.json
  transship status acme.plan.json --journal 'journals/*.ndjson'`,
    );
  addShardFlag(command);
  addFormatFlag(command, ['text', 'json', 'markdown']).action(
    async (word: string, flags: Flags) => {
      const part = readPart(flags, io.env);
      const {shard} = part;
      const {plan: whole, file} = await givenPlan(word, io);
      const plan = partToApply(whole, part);
      const files =
        flags.journal === undefined
          ? await journalsOf(plan.id, file, shard, io)
          : (await Promise.all(flags.journal.map(filesNamed))).flat();
      const read = flags.journal === undefined ? entriesBeside : readJournalOf;
      const journals = await Promise.all(files.map((one) => read(plan.id, one)));
      const [only] = files.length === 1 ? files : [];
      const planFile = only === undefined ? file : planArguments(file, only, shard);
      const status = planStatus(plan, journals);
      const result = shard === undefined ? status : {...status, shard};
      io.stdout.write(renderStatus(result, flags.format, {planFile, columns: io.columns?.()}));
      done(0);
    },
  );
}

/** The journal that `apply` writes by default, and those of shards. */
async function journalsOf(
  plan: Digest,
  planFile: string,
  shard: Shard | undefined,
  io: Io,
): Promise<readonly string[]> {
  const own = await journalOf(plan, planFile, undefined, io, shard);
  if (shard !== undefined) return [own];
  const directory = dirname(planFile);
  const names = await readdir(directory).catch(() => []);
  const shards = names
    .map((name) => join(directory, name))
    .filter((name) => isShardJournal(name, planFile))
    .sort(compareNatural);
  if (shards.some((one) => resolve(one) === resolve(own))) return shards;
  const isOwn = shards.length === 0 || (await isThere(own));
  return isOwn ? [own, ...shards] : shards;
}

/** A new plan in the same file has the journal of the earlier one beside it, until it is applied. */
async function entriesBeside(plan: Digest, file: string): Promise<StatusJournal> {
  const entries = await readJournal(file);
  const isOther = entries.some((entry) => entry.type === 'run' && entry.plan !== plan);
  return {file, entries: isOther ? [] : entries};
}
