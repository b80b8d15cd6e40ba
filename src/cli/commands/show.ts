import type {Command} from 'commander';
import type {PlanFormat} from '../../report/plan-document.ts';
import type {Io} from '../io.ts';
import {addFormatFlag} from '../options.ts';
import {printPlan, readPlanFile} from '../plan-file.ts';

/** `transship show`: the review of a plan. */
export function addShow(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('show')
    .summary('print the review of a plan')
    .argument('<plan>', 'a plan file written by "plan … --out"')
    .option('--full', 'do not shorten long lists')
    .addHelpText(
      'after',
      '\nExample:\n  transship show app.plan.json --format markdown > review.md',
    );
  addFormatFlag(command, ['text', 'markdown', 'json', 'html']).action(
    async (file: string, {format, full}: {format: PlanFormat; full?: boolean}) => {
      printPlan(await readPlanFile(file), format, io.stdout, {full: full === true});
      done(0);
    },
  );
}
