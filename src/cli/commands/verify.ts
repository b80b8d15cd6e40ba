import type {Command} from 'commander';
import {verifyPlan} from '../../apply/verify-plan.ts';
import {type OutcomeFormat, renderVerify} from '../../report/outcome.ts';
import type {Io} from '../io.ts';
import {addFormatFlag, addHostFlags, addProgressFlag, type HostFlags} from '../options.ts';
import {readCopyPlanFile} from '../plan-file.ts';
import type {ProgressKind} from '../reporters/choose.ts';
import {withSession} from '../session.ts';

interface Flags extends HostFlags {
  readonly format: OutcomeFormat;
  readonly progress: ProgressKind;
}

/** `transship verify`: compares the destination with the plan. */
export function addVerify(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('verify')
    .summary('compare the destination with a plan, digest by digest')
    .description('Exit 0: all is as planned. Exit 2: something differs, and is named.')
    .argument('<plan>', 'the file that "plan … --out" wrote')
    .addHelpText('after', '\nExample:\n  transship verify app.plan.json --format json');
  addFormatFlag(addProgressFlag(addHostFlags(command)), ['text', 'json', 'markdown']).action(
    async (file: string, flags: Flags) => {
      const plan = await readCopyPlanFile(file);
      const result = await withSession(io, flags, ({registries, reading}) =>
        verifyPlan(plan, registries, reading),
      );
      io.stdout.write(renderVerify(result, flags.format));
      done(result.differences.length === 0 ? 0 : 2);
    },
  );
}
