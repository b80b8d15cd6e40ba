import {access} from 'node:fs/promises';
import type {Command} from 'commander';
import {planArguments, readJournal} from '../../apply/journal-file.ts';
import {planStatus} from '../../apply/plan-status.ts';
import {TransshipError} from '../../model/error.ts';
import {type OutcomeFormat, renderStatus} from '../../report/run-document.ts';
import {journalOf} from '../earlier-transfers.ts';
import type {Io} from '../io.ts';
import {addFormatFlag, collect} from '../options.ts';
import {readPlanFile} from '../plan-file.ts';

interface Flags {
  readonly format: OutcomeFormat;
  readonly journal?: readonly string[];
}

/** `transship status`: how far a plan is, without asking any registry. */
export function addStatus(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('status')
    .summary('show the progress recorded in the journal')
    .argument('<plan>', 'a plan file written by "plan … --out"')
    .option(
      '--journal <file>',
      'read this journal (repeatable; default: the one beside the plan)',
      collect,
    )
    .addHelpText('after', '\nExample:\n  transship status app.plan.json');
  addFormatFlag(command, ['text', 'json', 'markdown']).action(
    async (file: string, flags: Flags) => {
      const plan = await readPlanFile(file);
      const files = flags.journal ?? [await journalOf(plan.id, file, undefined, io)];
      if (flags.journal) await Promise.all(flags.journal.map(mustBeThere));
      const journals = await Promise.all(files.map(readJournal));
      const [only] = files.length === 1 ? files : [];
      const planFile = only === undefined ? file : planArguments(file, only);
      io.stdout.write(renderStatus(planStatus(plan, journals), flags.format, {planFile}));
      done(0);
    },
  );
}

/** Before the first run there is no journal beside the plan; one that is named is meant to be there. */
async function mustBeThere(file: string): Promise<void> {
  await access(file).catch((cause: unknown) => {
    throw new TransshipError('FILE_UNREADABLE', `there is no journal ${file}`, {
      side: 'local',
      hint: 'name a file written by "apply --journal"',
      cause,
    });
  });
}
