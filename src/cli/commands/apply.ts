import type {Command} from 'commander';
import {planArguments} from '../../apply/journal-file.ts';
import {undoBeside} from '../../apply/undo-file.ts';
import {applyPlan} from '../../library/apply-plan.ts';
import type {Session} from '../../library/session.ts';
import type {RunResult} from '../../model/outcome.ts';
import {deletionsOf, type Plan} from '../../model/plan.ts';
import {shellWord} from '../../model/shell-word.ts';
import {shardOfPlan} from '../../plan/shards.ts';
import {type OutcomeFormat, renderRun} from '../../report/run-document.ts';
import {printable} from '../../report/words.ts';
import {journalOf} from '../earlier-transfers.ts';
import {addGitLabFlags} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {
  addCacheFlag,
  addFormatFlag,
  addHostFlags,
  addLimitFlags,
  addRunFlags,
  type HostFlags,
  type LimitFlags,
  type UndoFlags,
} from '../options.ts';
import {givenPlan} from '../plan-file.ts';
import {
  addPhaseFlag,
  addShardFlag,
  type PartFlags,
  partToApply,
  readPart,
  reportPart,
} from '../plan-part.ts';
import {addPolicyFlag, type PolicyFlag, throwUnlessWithin} from '../plan-policy.ts';
import {addTrustFlags, PlanTrust, type TrustFlags} from '../plan-trust.ts';
import {deletionConsent, RUN_EXIT, runOptions} from '../run-plan.ts';
import {
  addRunReportFlags,
  type RunReportFlags,
  StepTimes,
  writeRunReports,
} from '../run-reports.ts';
import {runTransfer, type TransferRunFlags} from '../run-transfer.ts';
import {withSession} from '../session.ts';

type Flags = HostFlags &
  TransferRunFlags &
  PartFlags &
  LimitFlags &
  UndoFlags &
  TrustFlags &
  PolicyFlag &
  RunReportFlags & {readonly format: OutcomeFormat};

/** `transship apply`: carries out a plan, or resumes it. */
export function addApply(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('apply')
    .summary('apply a plan; run again to resume')
    .description(
      'Compares source and destination with the plan, then does what the plan says and nothing else.',
    )
    .argument('<plan>', 'a plan file written by "plan … --out" (-: stdin)')
    .option('--yes', 'do not ask before deleting')
    .option(
      '--undo <file>',
      'keep what is deleted in this file, for rollback (default: beside the plan)',
    )
    .option('--no-undo', 'do not keep what is deleted')
    .option('--adopt-new-tags', 'transfers only: include tags created or changed after planning')
    .option('--remove-donor', 'transfers only: remove the images from the donor at the end')
    .addHelpText(
      'after',
      '\nExamples:\n  transship apply app.plan.json --progress plain\n  transship apply move.plan.json --yes\n  transship apply acme.plan.json --shard 3/16',
    );
  addShardFlag(addPhaseFlag(command));
  addRunReportFlags(command);
  addFormatFlag(
    addLimitFlags(
      addRunFlags(
        addCacheFlag(addHostFlags(addTrustFlags(addGitLabFlags(addPolicyFlag(command))))),
      ),
    ),
    ['text', 'json', 'markdown'],
  ).action(async (word: string, given: Flags) => {
    const part = readPart(given, io.env);
    const {shard, phase} = part;
    const {plan: whole, file} = await givenPlan(word, io);
    await throwUnlessWithin(whole, given);
    // Whether all copies are done is for this phase to find out.
    const isLast = whole.kind === 'copy' && phase === 'delete';
    const plan = isLast ? whole : partToApply(whole, part);
    const journal = await journalOf(plan.id, file, given.journal, io, shard);
    const flags = {...given, journal};
    const trust = await PlanTrust.of(whole, file, flags, io);
    // What a transfer deletes is looked at itself.
    const cache = flags.cache === true && plan.kind === 'copy';
    const times = new StepTimes(io);
    const run = async (opened: Session): Promise<RunResult> => {
      const session = times.watch(opened);
      reportPart(whole, part, session.report);
      if (whole.kind === 'transfer') {
        const moves = shard === undefined ? whole : shardOfPlan(whole, shard);
        return await runTransfer({plan: moves, file, flags, io, session, trust, shard});
      }
      return await applyPlan(session, whole, {
        ...runOptions(flags),
        ...part,
        journal,
        ...(flags.undo === false ? {} : {undo: flags.undo ?? undoBeside(file)}),
        confirmDeletions: deletionConsent(flags, io),
      });
    };
    const result = times.timed(await withSession(io, {...flags, cache}, run, trust));
    const applied = partToApply(whole, part);
    const planFile = planArguments(file, journal, shard);
    io.stdout.write(
      renderRun(result, applied, flags.format, {
        planFile,
        tookMs: times.runMs,
        columns: io.columns?.(),
      }),
    );
    if (flags.format === 'text' && flags.undo !== false && hasDeleted(result, applied))
      io.stdout.write(undoText(file, flags.undo));
    await writeRunReports(result, applied, times, flags, io);
    done(RUN_EXIT[result.result]);
  });
}

function hasDeleted({steps}: RunResult, plan: Plan): boolean {
  if (plan.kind === 'transfer') return false;
  const deletions = new Set(deletionsOf(plan).map(({id}) => id));
  return steps.some(({id, outcome}) => outcome === 'done' && deletions.has(id));
}

function undoText(file: string, undo: string | undefined): string {
  const flag = undo === undefined ? '' : ` --undo ${shellWord(undo)}`;
  const text = `To put the tags back while the registry still has their content (GitLab: for 24 hours): transship rollback ${shellWord(file)}${flag}`;
  return `\n${printable(text)}\n`;
}
