import type {Command} from 'commander';
import type {PlanFormat} from '../../report/plan-document.ts';
import {partOfPlan} from '../../plan/part-of-plan.ts';
import {commentOnMergeRequest} from '../comment.ts';
import {addGitLabFlags, type GitLabFlags} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {addFormatFlag, addHostFlags, collect, type HostFlags} from '../options.ts';
import {givenPlan, printPlan} from '../plan-file.ts';

interface Flags extends GitLabFlags, HostFlags {
  readonly comment?: boolean;
  readonly format: PlanFormat;
  readonly all?: boolean;
  readonly repository?: readonly string[];
}

/** `transship show`: the review of a plan. */
export function addShow(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('show')
    .summary('print the review of a plan')
    .argument('<plan>', 'a plan file written by "plan … --out" (-: stdin)')
    .option('--all', 'show every image and every finding')
    .option(
      '--repository <glob>',
      'only these repositories, by source or destination, with all of their images (repeatable)',
      collect,
    )
    .option(
      '--comment',
      'also write the review as a comment on the merge request of the CI job, or update it there',
    )
    .addHelpText(
      'after',
      `
Examples:
  transship show app.plan.json --format markdown > review.md
  transship show acme.plan.json --format markdown --comment
  transship show acme.plan.json --repository 'team/**'`,
    );
  addFormatFlag(addHostFlags(addGitLabFlags(command)), ['text', 'markdown', 'json', 'html']).action(
    async (word: string, flags: Flags) => {
      const {format, all = false, repository: only, comment} = flags;
      const {plan, file} = await givenPlan(word, io);
      printPlan(only === undefined ? plan : partOfPlan(plan, only), format, io, {
        planFile: file,
        full: all || only !== undefined,
        isUnbounded: all,
        only,
      });
      if (comment === true) await commentOnMergeRequest(plan, file, flags, io);
      done(0);
    },
  );
}
