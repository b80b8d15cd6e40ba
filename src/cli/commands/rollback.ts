import type {Command} from 'commander';
import {planArguments} from '../../apply/journal-file.ts';
import type {RunResult} from '../../model/outcome.ts';
import {type OutcomeFormat, renderRun} from '../../report/run-document.ts';
import {journalOf} from '../earlier-transfers.ts';
import {addGitLabFlags} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {
  addFormatFlag,
  addHostFlags,
  addRunFlags,
  type HostFlags,
  type RunFlags,
} from '../options.ts';
import {shardOfTransfers} from '../../plan/shards.ts';
import {readTransferPlanFile} from '../plan-file.ts';
import {addShardFlag, type PartFlags, readPart} from '../plan-part.ts';
import {addTrustFlags, PlanTrust, type TrustFlags} from '../plan-trust.ts';
import {RUN_EXIT} from '../run-plan.ts';
import {runRollback} from '../run-transfer.ts';
import {type Session, withSession} from '../session.ts';

type Flags = HostFlags & RunFlags & TrustFlags & PartFlags & {readonly format: OutcomeFormat};

/** `transship rollback`: puts the images of a half-done transfer back. */
export function addRollback(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('rollback')
    .summary('undo an unfinished transfer')
    .description(
      'While the project is at its old path: copies each image that was deleted there back from the donor, ' +
        'verifies it, and restores the cleanup policy. After the project has moved, use apply instead (exit 3). ' +
        'Of several projects, those that were started are restored, the last one first.',
    )
    .argument('<plan>', 'a plan file written by "plan transfer … --out"')
    .addHelpText('after', '\nExample:\n  transship rollback move.plan.json');
  addShardFlag(command);
  addFormatFlag(addRunFlags(addHostFlags(addTrustFlags(addGitLabFlags(command)))), [
    'text',
    'json',
    'markdown',
  ]).action(async (file: string, given: Flags) => {
    const {shard} = readPart(given, io.env);
    const whole = await readTransferPlanFile(file);
    const plan = shard === undefined ? whole : shardOfTransfers(whole, shard);
    const journal = await journalOf(plan.id, file, given.journal, io, shard);
    const flags = {...given, journal};
    const trust = await PlanTrust.of(whole, file, flags, io);
    const run = (session: Session): Promise<RunResult> =>
      runRollback({plan, file, flags, io, session, trust, shard});
    const result = await withSession(io, flags, run, trust);
    const planFile = planArguments(file, journal, shard);
    io.stdout.write(renderRun(result, plan, flags.format, {planFile}));
    done(RUN_EXIT[result.result]);
  });
}
