import type {Command} from 'commander';
import {readCopyWish} from '../copy-wish.ts';
import {makePlan} from '../make-plan.ts';
import {addSinceFlags, giveDelta, readEarlierPlan, type SinceFlags} from '../earlier-plan.ts';
import {throwIfBegun} from '../earlier-transfers.ts';
import {addHabitFlags, type HabitFlags, withHabits} from '../habits.ts';
import type {Io} from '../io.ts';
import {
  addArchiveSizeFlag,
  addCacheFlag,
  addFilterFlags,
  addHostFlags,
  addProgressFlag,
  type ArchiveFlags,
  type FilterFlags,
  type HostFlags,
  wishFilters,
} from '../options.ts';
import {addMakeFlags, givePlan, type MakeFlags} from '../plan-file.ts';
import {readsPlatforms} from '../plan-policy.ts';
import type {ProgressFlags} from '../reporters/choose.ts';
import {withSession} from '../session.ts';
import {addPlanDelete} from './plan-delete.ts';
import {addPlanMigration} from './plan-migration.ts';
import {addPlanTransfer} from './plan-transfer.ts';

type Flags = ProgressFlags &
  HostFlags &
  HabitFlags &
  ArchiveFlags &
  FilterFlags &
  MakeFlags &
  SinceFlags;

/** `transship plan copy`: decides what a copy would do, and does nothing. */
export function addPlan(program: Command, io: Io, done: (exitCode: number) => void): void {
  const plan = program.command('plan').summary('make a plan without applying it');
  addPlanMigration(plan, io, done);
  addPlanTransfer(plan, io, done);
  addPlanDelete(plan, io, done);
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
    .addHelpText(
      'after',
      `
Examples:
  transship plan copy registry.example.com/team/app gitlab.example.com:5050/group/project/app --out app.plan.json
  transship plan copy old.example.com/app:v1 new.example.com/app --format markdown --detailed-exitcode`,
    );
  addSinceFlags(addHabitFlags(copy));
  addArchiveSizeFlag(copy);
  addMakeFlags(addProgressFlag(addFilterFlags(addCacheFlag(addHostFlags(copy)))));
  copy.action(async (source: string, destination: string, given: Flags) => {
    const flags = withHabits(given, source, destination);
    const wish = readCopyWish(source, destination, wishFilters(flags, io.now()), flags);
    if (flags.out !== undefined) await throwIfBegun(flags.out, io);
    const earlier = await readEarlierPlan(flags, {name: '--out', file: flags.out});
    const platforms = await readsPlatforms(flags);
    const made = await withSession(io, flags, async ({places, report, reading}) => {
      // What was observed beside it is let go.
      const {plan: planned} = await makePlan({...wish, platforms}, places, report, reading);
      return planned;
    });
    const exitCode = await givePlan(made, flags, io);
    if (earlier) await giveDelta(earlier, made, flags, io);
    done(exitCode);
  });
}
