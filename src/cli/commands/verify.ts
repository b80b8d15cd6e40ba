import type {Command} from 'commander';
import {verifyPlan} from '../../apply/verify-plan.ts';
import {type OutcomeFormat, renderVerify} from '../../report/outcome.ts';
import {addTokenFlag, type GitLabFlags} from '../gitlab-access.ts';
import type {Io} from '../io.ts';
import {addFormatFlag, addHostFlags, addProgressFlag, type HostFlags} from '../options.ts';
import {readPlanFile} from '../plan-file.ts';
import type {ProgressKind} from '../reporters/choose.ts';
import {verifyTransfer} from '../run-transfer.ts';
import {withSession} from '../session.ts';

interface Flags extends HostFlags, GitLabFlags {
  readonly donor?: boolean;
  readonly format: OutcomeFormat;
  readonly progress: ProgressKind;
}

/** `transship verify`: compares the destination with the plan. */
export function addVerify(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('verify')
    .summary('compare the destination with a plan, digest by digest')
    .description(
      'Exit 0: all is as planned. Exit 2: something differs, and is named. Of a transfer, compares where the images ' +
        'are to be: the old path while the project is there, the donor between two changes of its path, then the new path.',
    )
    .argument('<plan>', 'the file that "plan … --out" wrote')
    .option('--donor', 'of a transfer: compare the donor instead, and read its files again')
    .addHelpText('after', '\nExample:\n  transship verify app.plan.json --format json');
  addFormatFlag(addProgressFlag(addHostFlags(addTokenFlag(command))), [
    'text',
    'json',
    'markdown',
  ]).action(async (file: string, flags: Flags) => {
    const plan = await readPlanFile(file);
    const result = await withSession(io, flags, (session) =>
      plan.kind === 'copy'
        ? verifyPlan(plan, session.registries, session.reading)
        : verifyTransfer(plan, file, flags, io, session),
    );
    io.stdout.write(renderVerify(result, flags.format));
    done(result.differences.length === 0 ? 0 : 2);
  });
}
