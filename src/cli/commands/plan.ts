import type {Command} from 'commander';
import {planCopy} from '../../library/plan-copy.ts';
import {addSinceFlags, giveDelta, readEarlierPlan, type SinceFlags} from '../earlier-plan.ts';
import {throwIfBegun} from '../earlier-transfers.ts';
import {addHabitFlags, type HabitFlags, withHabits} from '../habits.ts';
import {addPlaces, copyRequest} from '../copy-request.ts';
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

/** `transship plan copy`: plans a copy, and copies nothing. */
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
    .addHelpText(
      'after',
      `
Examples:
  transship plan copy registry.example.com/team/app gitlab.example.com:5050/group/project/app --out app.plan.json
  transship plan copy old.example.com/app:v1 new.example.com/app --format markdown --detailed-exitcode`,
    );
  addSinceFlags(addHabitFlags(addPlaces(copy)));
  addArchiveSizeFlag(copy);
  addMakeFlags(addProgressFlag(addFilterFlags(addCacheFlag(addHostFlags(copy)))));
  copy.action(async (source: string, destination: string, given: Flags) => {
    const flags = withHabits(given, source, destination);
    if (flags.out !== undefined) await throwIfBegun(flags.out, io);
    const earlier = await readEarlierPlan(flags, {name: '--out', file: flags.out});
    const request = {
      ...copyRequest(source, destination, flags, io.now()),
      readPlatforms: await readsPlatforms(flags),
    };
    const made = await withSession(io, flags, (session) => planCopy(session, request));
    const exitCode = await givePlan(made, flags, io);
    if (earlier) await giveDelta(earlier, made, flags, io);
    done(exitCode);
  });
}
