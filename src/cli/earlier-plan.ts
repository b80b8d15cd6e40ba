import {extname} from 'node:path';
import type {Command} from 'commander';
import {writeOutput} from '../library/output-file.ts';
import {readPlanFile} from '../library/plan-file.ts';
import {TransshipError} from '../model/error.ts';
import type {CopyPlan} from '../model/plan.ts';
import {sourceDelta} from '../plan/source-delta.ts';
import {renderDelta} from '../report/delta-document.ts';
import type {Io} from './io.ts';
import {type NamedFile, throwIfSameFile} from './output-file.ts';

/** Flags of commands that compare a plan with an earlier one. */
export interface SinceFlags {
  readonly since?: string;
  readonly deltaReport?: string;
}

export function addSinceFlags(command: Command): Command {
  return command
    .option('--since <plan>', 'report what changed at the source since this earlier plan')
    .option(
      '--delta-report <file>',
      'write that report to this file: JSON, or Markdown if its name ends in .md',
    );
}

/**
 * Reads the earlier plan that the flags name; undefined: they name none.
 * @param others files of the command line that the report must not replace
 * @throws TransshipError USAGE, and the errors of `readPlanFile`
 */
export async function readEarlierPlan(
  {since, deltaReport}: SinceFlags,
  ...others: readonly NamedFile[]
): Promise<CopyPlan | undefined> {
  const report = {name: '--delta-report', file: deltaReport};
  await throwIfSameFile(report, [{name: '--since', file: since}, ...others]);
  if (since === undefined) {
    if (deltaReport === undefined) return undefined;
    throw usage('--delta-report needs an earlier plan', 'add --since OLD.plan.json');
  }
  const plan = await readPlanFile(since);
  if (plan.kind === 'copy') return plan;
  throw usage(`${since} is the plan of a transfer`, 'name an earlier plan of copies with --since');
}

/**
 * Reports the changes at the source since an earlier plan: below a review in text form, and in the file that a flag
 * names.
 * @throws TransshipError FILE_WRITE_FAILED
 */
export async function giveDelta(
  earlier: CopyPlan,
  plan: CopyPlan,
  {deltaReport, format, out}: SinceFlags & {readonly format: string; readonly out?: string},
  {stdout, redactor}: Io,
): Promise<void> {
  const delta = sourceDelta(earlier, plan);
  if (format === 'text' && out !== '-') stdout.write(`\n${renderDelta(delta, 'text')}`);
  if (deltaReport === undefined) return;
  const kind = extname(deltaReport) === '.md' ? 'markdown' : 'json';
  const text = redactor.redact(renderDelta(delta, kind, {full: true, isUnbounded: true}));
  await writeOutput(deltaReport, [text]).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TransshipError(
      'FILE_WRITE_FAILED',
      `the report ${deltaReport} cannot be written: ${why}`,
      {
        side: 'local',
        hint: 'name a file in a writable directory with --delta-report',
        cause,
      },
    );
  });
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
