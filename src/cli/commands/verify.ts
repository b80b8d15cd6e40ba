import type {Command} from 'commander';
import {verifyPlan} from '../../apply/verify-plan.ts';
import type {VerifyResult} from '../../model/outcome.ts';
import {type OutcomeFormat, renderVerify} from '../../report/run-document.ts';
import {addGitLabFlags} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {addFormatFlag, addHostFlags, addProgressFlag, type HostFlags} from '../options.ts';
import {readPlanFile} from '../plan-file.ts';
import {addTrustFlags, PlanTrust, type TrustFlags} from '../plan-trust.ts';
import type {ProgressFlags} from '../reporters/choose.ts';
import {verifyTransfer} from '../run-transfer.ts';
import {type Session, withSession} from '../session.ts';

interface Flags extends ProgressFlags, HostFlags, TrustFlags {
  readonly donor?: boolean;
  readonly format: OutcomeFormat;
}

/** `transship verify`: compares the destination with the plan. */
export function addVerify(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('verify')
    .summary('compare the destination with a plan, digest by digest')
    .description(
      'Exit 0: everything is as planned. Exit 2: something differs, or the project of a transfer is not at its ' +
        'new path yet. For a transfer, compares the place where the images should be now: the old path while the project ' +
        'is there, the donor between two changes of its path, then the new path. The output names the place.',
    )
    .argument('<plan>', 'a plan file written by "plan … --out"')
    .option('--donor', 'transfers only: compare the donor instead, and read its files again')
    .addHelpText('after', '\nExample:\n  transship verify app.plan.json --format json');
  addFormatFlag(addProgressFlag(addHostFlags(addTrustFlags(addGitLabFlags(command)))), [
    'text',
    'json',
    'markdown',
  ]).action(async (file: string, flags: Flags) => {
    const plan = await readPlanFile(file);
    const trust = await PlanTrust.of(plan, file, flags, io);
    const compare = (session: Session): Promise<VerifyResult> =>
      plan.kind === 'copy'
        ? verifyPlan(plan, session.places, session.reading)
        : verifyTransfer({plan, file, flags, io, session, trust});
    const result = await withSession(io, flags, compare, trust);
    io.stdout.write(renderVerify(result, flags.format));
    const isWhereWanted =
      flags.donor === true || (result.projects ?? []).every(({project}) => project === 'after');
    done(result.differences.length === 0 && isWhereWanted ? 0 : 2);
  });
}
