import type {Command} from 'commander';
import {planArguments} from '../../apply/journal-file.ts';
import type {Session} from '../../library/session.ts';
import type {RunResult} from '../../model/outcome.ts';
import {type OutcomeFormat, renderRestore, renderRun} from '../../report/run-document.ts';
import {journalOf} from '../earlier-transfers.ts';
import {addGitLabFlags} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {addFormatFlag, addHostFlags, addRunFlags, type HostFlags} from '../options.ts';
import {givenPlan} from '../plan-file.ts';
import {addShardFlag, type PartFlags, partToApply, readPart} from '../plan-part.ts';
import {addTrustFlags, PlanTrust, type TrustFlags} from '../plan-trust.ts';
import {RUN_EXIT, runRestore} from '../run-plan.ts';
import {runRollback, type TransferRunFlags} from '../run-transfer.ts';
import {withSession} from '../session.ts';

type Flags = HostFlags &
  TransferRunFlags &
  PartFlags &
  TrustFlags & {readonly undo?: string; readonly format: OutcomeFormat};

/** `transship rollback`: rolls back transfers from any state, or restores deleted tags. */
export function addRollback(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('rollback')
    .summary('undo a transfer, or the deletion of tags')
    .description(
      'Of a transfer, while a project is at its old path: copies each image that was deleted there back from the donor, ' +
        'verifies it, and restores the cleanup policy. After it has moved: moves it back in the same way as there, ' +
        'by way of the donor, or says why that is not possible (exit 3). ' +
        'Of several projects, those that were started are restored, the last one first.\n\n' +
        'Of a plan that deleted tags: puts them back from the undo file that apply wrote, while the registry still has ' +
        'their content (GitLab with metadata database: for 24 hours). Tags that were pushed since then stay as they are.',
    )
    .argument('<plan>', 'a plan file written by "plan … --out" (-: stdin)')
    .option('--yes', 'do not ask before deleting at the new path')
    .option('--adopt-new-tags', 'include tags created or changed at the new path since the move')
    .option('--undo <file>', 'the undo file of apply (default: beside the plan)')
    .addHelpText(
      'after',
      '\nExamples:\n  transship rollback move.plan.json\n  transship rollback clean.plan.json',
    );
  addShardFlag(command);
  addFormatFlag(addRunFlags(addHostFlags(addTrustFlags(addGitLabFlags(command)))), [
    'text',
    'json',
    'markdown',
  ]).action(async (word: string, given: Flags) => {
    const {shard} = readPart(given, io.env);
    const {plan: whole, file} = await givenPlan(word, io);
    // All runs share one undo file.
    const plan = whole.kind === 'copy' ? whole : partToApply(whole, shard ? {shard} : {});
    const journal = await journalOf(plan.id, file, given.journal, io, shard);
    const flags = {...given, journal};
    const trust = await PlanTrust.of(whole, file, flags, io);
    const run = (session: Session): Promise<RunResult> =>
      plan.kind === 'copy'
        ? runRestore(plan, file, flags, session)
        : runRollback({plan, file, flags, io, session, trust, shard});
    const result = await withSession(io, flags, run, trust);
    const planFile = planArguments(file, journal, shard);
    io.stdout.write(
      plan.kind === 'copy'
        ? renderRestore(result, plan, flags.format)
        : renderRun(result, plan, flags.format, {planFile, columns: io.columns?.()}),
    );
    done(RUN_EXIT[result.result]);
  });
}
