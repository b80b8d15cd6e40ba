import type {Command} from 'commander';
import type {PlanFormat} from '../../report/plan-document.ts';
import {partOfPlan} from '../../plan/part-of-plan.ts';
import type {Io} from '../io.ts';
import {addFormatFlag, collect} from '../options.ts';
import {printPlan, readPlanFile} from '../plan-file.ts';

interface Flags {
  readonly format: PlanFormat;
  readonly all?: boolean;
  readonly repository?: readonly string[];
}

/** `transship show`: the review of a plan. */
export function addShow(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('show')
    .summary('print the review of a plan')
    .argument('<plan>', 'a plan file written by "plan … --out"')
    .option('--all', 'show every image and every finding')
    .option(
      '--repository <glob>',
      'only these repositories, by source or destination, with all of their images (repeatable)',
      collect,
    )
    .addHelpText(
      'after',
      `
Examples:
  transship show app.plan.json --format markdown > review.md
  transship show acme.plan.json --repository 'team/**'`,
    );
  addFormatFlag(command, ['text', 'markdown', 'json', 'html']).action(
    async (file: string, {format, all = false, repository: only}: Flags) => {
      const plan = await readPlanFile(file);
      printPlan(only === undefined ? plan : partOfPlan(plan, only), format, io.stdout, {
        planFile: file,
        full: all || only !== undefined,
        isUnbounded: all,
        only,
      });
      done(0);
    },
  );
}
