import type {Command} from 'commander';
import type {RunResult} from '../../model/outcome.ts';
import {type OutcomeFormat, renderRun} from '../../report/outcome.ts';
import {addGitLabFlags} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {
  addFormatFlag,
  addHostFlags,
  addRunFlags,
  type HostFlags,
  type RunFlags,
} from '../options.ts';
import {readTransferPlanFile} from '../plan-file.ts';
import {addTrustFlags, PlanTrust, type TrustFlags} from '../plan-trust.ts';
import {RUN_EXIT} from '../run-plan.ts';
import {runRollback} from '../run-transfer.ts';
import {type Session, withSession} from '../session.ts';

type Flags = HostFlags & RunFlags & TrustFlags & {readonly format: OutcomeFormat};

/** `transship rollback`: puts the images of a half-done transfer back. */
export function addRollback(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('rollback')
    .summary('take a half-done transfer back to where it was')
    .description(
      'As long as the project is at its old path: brings every image that is gone from there back from the donor, ' +
        'proves it, and sets the cleanup policy as it was. Once the project has moved, apply goes on instead (exit 3).',
    )
    .argument('<plan>', 'the file that "plan transfer … --out" wrote')
    .addHelpText('after', '\nExample:\n  transship rollback move.plan.json');
  addFormatFlag(addRunFlags(addHostFlags(addTrustFlags(addGitLabFlags(command)))), [
    'text',
    'json',
    'markdown',
  ]).action(async (file: string, flags: Flags) => {
    const plan = await readTransferPlanFile(file);
    const trust = await PlanTrust.of(plan, file, flags, io);
    const run = (session: Session): Promise<RunResult> =>
      runRollback(plan, file, flags, io, session, trust);
    const result = await withSession(io, flags, run, trust);
    io.stdout.write(renderRun(result, plan, flags.format, {planFile: file}));
    done(RUN_EXIT[result.result]);
  });
}
