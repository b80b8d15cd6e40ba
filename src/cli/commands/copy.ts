import type {Command} from 'commander';
import {type OutcomeFormat, renderRun} from '../../report/run-document.ts';
import type {Tag} from '../../model/reference.ts';
import {renderDigests} from '../../report/ci-reports.ts';
import {type CopyWish, readCopyWish} from '../copy-wish.ts';
import {makePlan} from '../make-plan.ts';
import {givePlan, redactedPlan} from '../plan-file.ts';
import {addHabitFlags, type HabitFlags, withHabits} from '../habits.ts';
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
  wishFilters,
} from '../options.ts';
import {reportWarnings} from '../print-error.ts';
import {RUN_EXIT, runPlan} from '../run-plan.ts';
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

/** The one image that is asked for; undefined: all tags. */
function imageOf({routes: [route]}: CopyWish): {readonly tag: Tag | undefined} | undefined {
  const isOne = route?.toTag !== undefined || route?.source.digest !== undefined;
  return isOne ? {tag: route.toTag} : undefined;
}

/** `transship copy`: plan and apply in one go. */
export function addCopy(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('copy')
    .summary('copy images between registries and image layouts')
    .description(
      'Copies one image, or every tag of a repository, byte for byte: plans and applies in one command.',
    )
    .argument(
      '<source>',
      'host/repository[:tag][@digest], oci:DIR[:name], oci-archive:FILE[:name], dir:DIR, docker-archive:FILE[:name], docker-daemon:NAME or containers-storage:NAME; without a tag, all tags',
    )
    .argument(
      '<destination>',
      'host/repository[:tag], oci:DIR[:name], oci-archive:FILE[:name] or dir:DIR',
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
  addRunReportFlags(addArchiveSizeFlag(addHabitFlags(command)));
  addFormatFlag(addLimitFlags(addRunFlags(addFilterFlags(addCacheFlag(addHostFlags(command))))), [
    'text',
    'json',
    'markdown',
  ]).action(async (source: string, destination: string, given: Flags) => {
    const flags = withHabits(given, source, destination);
    const wish = readCopyWish(source, destination, wishFilters(flags, io.now()), flags);
    const times = new StepTimes(io);
    const answer = await withSession(io, flags, async (opened) => {
      const session = times.watch(opened);
      const {places, report, reading} = session;
      const {plan: made, observed} = await makePlan(wish, places, report, reading);
      const plan = redactedPlan(made, io.redactor);
      if (flags.dryRun === true) return {plan, ran: undefined};
      reportWarnings(plan, report);
      const run = times.timed(await runPlan(plan, {kind: 'made', observed}, flags, io, session));
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
