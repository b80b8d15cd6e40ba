import type {Command} from 'commander';
import type {PlanFormat} from '../../report/plan-document.ts';
import {makePlan, readCopyWish} from '../make-plan.ts';
import {throwIfBegun} from '../earlier-transfers.ts';
import type {Io} from '../io.ts';
import {
  addCacheFlag,
  addFilterFlags,
  addFormatFlag,
  addHostFlags,
  addProgressFlag,
  type FilterFlags,
  type HostFlags,
  wishFilters,
} from '../options.ts';
import {
  finishedPlan,
  type FinishFlags,
  planFileText,
  printPlan,
  writePlanFile,
} from '../plan-file.ts';
import {addSignFlag} from '../plan-review.ts';
import type {ProgressKind} from '../reporters/choose.ts';
import {withSession} from '../session.ts';
import {addPlanMigration} from './plan-migration.ts';
import {addPlanTransfer} from './plan-transfer.ts';

interface Flags extends HostFlags, FilterFlags, FinishFlags {
  readonly format: PlanFormat;
  readonly detailedExitcode?: boolean;
  readonly progress: ProgressKind;
}

/** `transship plan copy`: decides what a copy would do, and does nothing. */
export function addPlan(program: Command, io: Io, done: (exitCode: number) => void): void {
  const plan = program.command('plan').summary('make a plan without applying it');
  addPlanMigration(plan, io, done);
  addPlanTransfer(plan, io, done);
  const copy = plan
    .command('copy')
    .summary('plan a copy between registries and image layouts')
    .description(
      'Inspects source and destination, prints the review and, with --out, writes the plan. Changes nothing.',
    )
    .argument(
      '<source>',
      'host/repository[:tag][@digest], oci:DIR[:name], oci-archive:FILE[:name], dir:DIR, docker-archive:FILE[:name], docker-daemon:NAME or containers-storage:NAME; without a tag, all tags',
    )
    .argument(
      '<destination>',
      'host/repository[:tag], oci:DIR[:name], oci-archive:FILE[:name] or dir:DIR',
    )
    .option('--out <file>', 'write the plan to this file, for show, apply and verify')
    .option('--detailed-exitcode', 'exit 2 if there is something to do, 0 if not')
    .addHelpText(
      'after',
      `
Examples:
  transship plan copy registry.example.com/team/app gitlab.example.com:5050/group/project/app --out app.plan.json
  transship plan copy old.example.com/app:v1 new.example.com/app --format markdown --detailed-exitcode`,
    );
  addFormatFlag(addProgressFlag(addFilterFlags(addCacheFlag(addHostFlags(addSignFlag(copy))))), [
    'text',
    'json',
    'markdown',
    'html',
  ]).action(async (source: string, destination: string, flags: Flags) => {
    const wish = readCopyWish(source, destination, wishFilters(flags, io.now()));
    if (flags.out !== undefined) await throwIfBegun(flags.out, io);
    const decided = await withSession(io, flags, async ({places, report, reading}) => {
      // What was observed beside it is let go.
      const made = await makePlan(wish, places, report, reading);
      return made.plan;
    });
    const finished = await finishedPlan(decided, flags, io);
    if (flags.out !== undefined) await writePlanFile(flags.out, finished);
    printPlan(finished, flags.format, io.stdout);
    if (flags.out !== undefined && flags.format === 'text')
      io.stdout.write(planFileText(flags.out, finished));
    const forbidden = finished.checks.some(({result}) => result === 'forbid');
    const hasWork = finished.steps.length > 0;
    done(forbidden ? 3 : flags.detailedExitcode === true && hasWork ? 2 : 0);
  });
}
