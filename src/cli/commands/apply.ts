import type {Command} from 'commander';
import {type OutcomeFormat, renderRun} from '../../report/outcome.ts';
import type {Io} from '../io.ts';
import {
  addFormatFlag,
  addHostFlags,
  addRunFlags,
  type HostFlags,
  type RunFlags,
} from '../options.ts';
import {readCopyPlanFile} from '../plan-file.ts';
import {RUN_EXIT, runPlan} from '../run-plan.ts';
import {withSession} from '../session.ts';

type Flags = HostFlags & RunFlags & {readonly format: OutcomeFormat};

/** `transship apply`: does what a plan says; run again, it goes on. */
export function addApply(program: Command, io: Io, done: (exitCode: number) => void): void {
  const command = program
    .command('apply')
    .summary('carry a plan out; run again to go on')
    .description(
      'Compares source and destination with the plan, then does what the plan says and nothing else.',
    )
    .argument('<plan>', 'the file that "plan … --out" wrote')
    .option('--yes', 'do not ask before anything is deleted (copies delete nothing)')
    .addHelpText('after', '\nExample:\n  transship apply app.plan.json --progress plain');
  addFormatFlag(addRunFlags(addHostFlags(command)), ['text', 'json', 'markdown']).action(
    async (file: string, flags: Flags) => {
      const plan = await readCopyPlanFile(file);
      const result = await withSession(io, flags, (session) =>
        runPlan(plan, {kind: 'file', file}, flags, io, session),
      );
      io.stdout.write(renderRun(result, plan, flags.format));
      done(RUN_EXIT[result.result]);
    },
  );
}
