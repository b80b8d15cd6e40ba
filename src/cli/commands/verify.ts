import type {Command} from 'commander';
import type {Session} from '../../library/session.ts';
import {verifyPlan} from '../../library/verify-plan.ts';
import {TransshipError} from '../../model/error.ts';
import type {VerifyResult} from '../../model/outcome.ts';
import {shardOfPlan} from '../../plan/shards.ts';
import {type OutcomeFormat, renderVerify} from '../../report/run-document.ts';
import {addGitLabFlags} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {addFormatFlag, addHostFlags, addProgressFlag, type HostFlags} from '../options.ts';
import {givenPlan} from '../plan-file.ts';
import {addShardFlag, type PartFlags, readPart, reportShard} from '../plan-part.ts';
import {addTrustFlags, PlanTrust, type TrustFlags} from '../plan-trust.ts';
import type {ProgressFlags} from '../reporters/choose.ts';
import {verifyTransfer} from '../run-transfer.ts';
import {withSession} from '../session.ts';

interface Flags extends ProgressFlags, HostFlags, TrustFlags, PartFlags {
  readonly donor?: boolean;
  readonly read?: boolean;
  readonly repair?: boolean;
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
    .argument('<plan>', 'a plan file written by "plan … --out" (-: stdin)')
    .option('--read', 'read every byte at the destination and hash it')
    .option('--repair', 'copies only: bring what is missing or broken from the source again')
    .option('--donor', 'transfers only: compare the donor instead, and read its files again')
    .addHelpText(
      'after',
      '\nExamples:\n  transship verify app.plan.json --format json\n  transship verify app.plan.json --read --repair',
    );
  addShardFlag(command);
  addFormatFlag(addProgressFlag(addHostFlags(addTrustFlags(addGitLabFlags(command)))), [
    'text',
    'json',
    'markdown',
  ]).action(async (word: string, flags: Flags) => {
    const part = readPart(flags, io.env);
    const {shard} = part;
    const {plan: whole, file} = await givenPlan(word, io);
    if (whole.kind === 'transfer' && flags.repair === true) {
      throw new TransshipError('USAGE', '--repair is for copies, and this plan is of transfers', {
        side: 'local',
        hint: 'apply the plan again: it copies what is missing',
      });
    }
    const trust = await PlanTrust.of(whole, file, flags, io);
    const compare = async (session: Session): Promise<VerifyResult> => {
      reportShard(part, session.report);
      if (whole.kind === 'copy') {
        const {read = false, repair = false} = flags;
        return await verifyPlan(session, whole, {read, repair, ...part});
      }
      const moves = shard === undefined ? whole : shardOfPlan(whole, shard);
      const compared = await verifyTransfer({plan: moves, file, flags, io, session, trust, shard});
      return shard === undefined ? compared : {...compared, shard};
    };
    const result = await withSession(io, flags, compare, trust);
    io.stdout.write(renderVerify(result, flags.format, {columns: io.columns?.()}));
    const isWhereWanted =
      flags.donor === true || (result.projects ?? []).every(({project}) => project === 'after');
    done(result.differences.length === 0 && isWhereWanted ? 0 : 2);
  });
}
