import type {Command} from 'commander';
import {runHistory} from '../../apply/run-history.ts';
import {readJournalOf} from '../../library/read-status.ts';
import {TransshipError} from '../../model/error.ts';
import type {RunHistory} from '../../model/outcome.ts';
import type {Plan} from '../../model/plan.ts';
import type {PlanFormat} from '../../report/plan-document.ts';
import {partOfPlan} from '../../plan/part-of-plan.ts';
import {commentOnMergeRequest} from '../comment.ts';
import {addGitLabFlags, type GitLabFlags} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {filesNamed} from '../journals.ts';
import {addFormatFlag, addHostFlags, collect, type HostFlags} from '../options.ts';
import {givenPlan, printPlan} from '../plan-file.ts';

interface Flags extends GitLabFlags, HostFlags {
  readonly comment?: boolean;
  readonly format: PlanFormat;
  readonly all?: boolean;
  readonly repository?: readonly string[];
  readonly journal?: readonly string[];
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
      '--journal <file>',
      'with --format html: show what runs did over time, by this journal, or all that match a pattern (repeatable)',
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
  transship show acme.plan.json --repository 'team/**'
  transship show acme.plan.json --format html --journal 'journals/*.ndjson' > run.html`,
    );
  addFormatFlag(addHostFlags(addGitLabFlags(command)), ['text', 'markdown', 'json', 'html']).action(
    async (word: string, flags: Flags) => {
      const {format, all = false, repository: only, comment, journal} = flags;
      const {plan, file} = await givenPlan(word, io);
      const history = journal && (await historyOf(plan, journal, format));
      printPlan(only === undefined ? plan : partOfPlan(plan, only), format, io, {
        planFile: file,
        full: all || only !== undefined,
        isUnbounded: all,
        only,
        history,
      });
      if (comment === true) await commentOnMergeRequest(plan, file, flags, io);
      done(0);
    },
  );
}

/** @throws TransshipError USAGE, FILE_UNREADABLE, JOURNAL_INVALID */
async function historyOf(
  plan: Plan,
  words: readonly string[],
  format: PlanFormat,
): Promise<RunHistory | undefined> {
  if (format !== 'html') {
    throw new TransshipError('USAGE', `--journal is for --format html, not for ${format}`, {
      side: 'local',
      hint: 'use "transship status" with --journal for the other formats',
    });
  }
  const files = (await Promise.all(words.map(filesNamed))).flat();
  const journals = await Promise.all(files.map((file) => readJournalOf(plan.id, file)));
  return runHistory(plan, journals);
}
