import type {Command} from 'commander';
import {type OutcomeFormat, renderRun} from '../../report/run-document.ts';
import {type ApplyOptions, applyPlan} from '../../library/apply-plan.ts';
import {type CopyWish, readCopyWish} from '../../library/copy-wish.ts';
import {planCopy} from '../../library/plan-copy.ts';
import type {CopyPlan} from '../../model/plan.ts';
import {givePlan} from '../plan-file.ts';
import type {Tag} from '../../model/reference.ts';
import {renderDigests} from '../../report/ci-reports.ts';
import {addHabitFlags, type HabitFlags, withHabits} from '../habits.ts';
import {addPlaces, copyRequest} from '../copy-request.ts';
import type {Io} from '../io.ts';
import {
  addArchiveSizeFlag,
  addCacheFlag,
  addFilterFlags,
  addFormatFlag,
  addHostFlags,
  addLimitFlags,
  addRunFlags,
  type ArchiveFlags,
  type FilterFlags,
  type HostFlags,
  type LimitFlags,
  type RunFlags,
} from '../options.ts';
import {reportWarnings} from '../print-error.ts';
import {deletionConsent, journalOfWish, RUN_EXIT, runOptions} from '../run-plan.ts';
import {
  addRunReportFlags,
  type RunReportFlags,
  StepTimes,
  writeReport,
  writeRunReports,
} from '../run-reports.ts';
import {withSession} from '../session.ts';

type Flags = HostFlags &
  ArchiveFlags &
  FilterFlags &
  RunFlags &
  LimitFlags &
  RunReportFlags &
  HabitFlags & {
    readonly format: OutcomeFormat;
    readonly yes?: boolean;
    readonly dryRun?: boolean;
    readonly digestfile?: string;
  };

/** The single requested image; undefined: all tags. */
function imageOf({routes: [route]}: CopyWish): {readonly tag: Tag | undefined} | undefined {
  const isOne = route?.toTag !== undefined || route?.source.digest !== undefined;
  return isOne ? {tag: route.toTag} : undefined;
}

/** `transship copy`: plans and applies in one command. */
export function addCopy(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('copy')
    .summary('copy images between registries and image layouts')
    .description(
      'Copies one image, or every tag of a repository, byte for byte: plans and applies in one command.',
    )
    .option(
      '--dry-run',
      'print the review of the plan and copy nothing; exit 2 if there is something to do',
    )
    .option('--digestfile <file>', 'write the digest to this file; of all tags, a line for each')
    .option('--yes', 'do not ask before deleting (only --delete-source deletes)')
    .addHelpText(
      'after',
      `
Examples:
  transship copy registry.example.com/team/app gitlab.example.com:5050/group/project/app
  transship copy docker://alpine:3.20 localhost:5000/mirror/alpine:3.20
  transship copy --semver '^1.2' --exclude-tag '*-rc*' old.example.com/app new.example.com/app`,
    );
  addRunReportFlags(addArchiveSizeFlag(addHabitFlags(addPlaces(command))));
  addFormatFlag(addLimitFlags(addRunFlags(addFilterFlags(addCacheFlag(addHostFlags(command))))), [
    'text',
    'json',
    'markdown',
  ]).action(async (source: string, destination: string, given: Flags) => {
    const flags = withHabits(given, source, destination);
    const request = copyRequest(source, destination, flags, io.now());
    const wish = readCopyWish(request);
    const times = new StepTimes(io);
    const answer = await withSession(io, flags, async (opened) => {
      const session = times.watch(opened);
      const plan = await planCopy(session, request);
      if (flags.dryRun === true) return {plan, ran: undefined};
      reportWarnings(plan, session.report);
      const applied = await applyPlan(session, plan, {
        ...runOptions(flags),
        isFresh: true,
        ...(await journalOf(plan, flags, io)),
        confirmDeletions: deletionConsent(flags, io),
      });
      const run = times.timed(applied);
      const text = renderRun(run, plan, flags.format, {
        planned: 'now',
        tookMs: times.runMs,
        columns: io.columns?.(),
      });
      return {plan, ran: {text, run}};
    });
    const {plan, ran} = answer;
    if (ran === undefined) {
      done(await givePlan(plan, {...flags, detailedExitcode: true}, io));
      return;
    }
    const {text, run: result} = ran;
    io.stdout.write(text);
    await writeRunReports(result, plan, times, flags, io);
    await writeReport(
      '--digestfile',
      flags.digestfile,
      () => renderDigests(result, plan, imageOf(wish)),
      io,
    );
    done(RUN_EXIT[result.result]);
  });
}

/** A run that does nothing needs no journal, and nobody would remove one that nobody named. */
async function journalOf(
  {steps, wish}: CopyPlan,
  {journal}: Flags,
  io: Io,
): Promise<Pick<ApplyOptions, 'journal' | 'removeJournal'>> {
  if (journal !== undefined) return {journal};
  return steps.length === 0 ? {} : {journal: await journalOfWish(wish, io), removeJournal: true};
}
