import type {Command} from 'commander';
import {TransshipError} from '../model/error.ts';
import type {Plan} from '../model/plan.ts';
import {shellWord} from '../model/shell-word.ts';
import {allSteps} from '../model/transfer-plan.ts';
import {readPlanFile, writePlan} from '../library/plan-file.ts';
import {redactedPlan} from '../library/redaction.ts';
import {parsePlan, PLAN_LIMITS, planText} from '../plan/plan-file.ts';
import {
  type PlanFormat,
  planJson,
  renderPlan,
  type ReviewOptions,
} from '../report/plan-document.ts';
import {printable} from '../report/words.ts';
import type {Io} from './io.ts';
import {hexOf} from '../model/digest.ts';
import {addFormatFlag} from './options.ts';
import {rememberPlan} from './own-plans.ts';
import {addPolicyFlag, limitedPlan, type PolicyFlag} from './plan-policy.ts';
import {addSignFlag, signedPlan} from './plan-review.ts';

/** Prints a plan or its review. HTML always contains everything. */
export function printPlan(
  plan: Plan,
  format: PlanFormat,
  {stdout, columns}: Pick<Io, 'stdout' | 'columns'>,
  options: ReviewOptions = {},
): void {
  if (format === 'json') for (const piece of planJson(plan)) stdout.write(piece);
  else stdout.write(renderPlan(plan, format, {...options, columns: columns?.()}));
}

/** The text below a review: where the plan is, and the next commands. */
function planFileText(file: string, plan: Plan): string {
  const text = isForbidden(plan)
    ? `The plan is in ${file}. It cannot be applied: change what is listed as forbidden, then plan again.`
    : `The plan is in ${file}. To apply it: transship apply ${shellWord(file)}`;
  return `\n${printable(text)}\n`;
}

/** A plan on the command line, and the file beside which its journal and its donor directories are. */
interface GivenPlan {
  readonly plan: Plan;
  readonly file: string;
}

/**
 * Reads the plan that the command line names. `-` is stdin: its journal is in the working directory, named by the
 * plan's id.
 * @throws TransshipError as `readPlanFile`
 */
export async function givenPlan(word: string, io: Pick<Io, 'stdin'>): Promise<GivenPlan> {
  if (word !== '-') return {plan: await readPlanFile(word), file: word};
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of io.stdin?.() ?? []) {
    size += piece.byteLength;
    if (size > PLAN_LIMITS.size) break;
    pieces.push(piece);
  }
  if (size > PLAN_LIMITS.size || size === 0) {
    const why = size === 0 ? 'is empty' : `has more than ${PLAN_LIMITS.size} bytes`;
    throw new TransshipError('FILE_UNREADABLE', `the plan on stdin ${why}`, {
      side: 'local',
      hint: 'pipe in what "transship plan … --out -" prints',
    });
  }
  const plan = parsePlan(Buffer.concat(pieces), 'stdin');
  return {plan, file: `transship-${hexOf(plan.id).slice(0, 12)}.plan.json`};
}

/** Flags of the commands that make a plan. */
export interface MakeFlags extends PolicyFlag {
  readonly out?: string;
  readonly format: PlanFormat;
  readonly detailedExitcode?: boolean;
  readonly signKey?: string;
}

export function addMakeFlags(command: Command): Command {
  addPolicyFlag(addSignFlag(command))
    .option(
      '--out <file>',
      'write the plan to this file, for show, apply and verify (-: to stdout, without its review)',
    )
    .option('--detailed-exitcode', 'exit 2 if there is something to do, 0 if not');
  return addFormatFlag(command, ['text', 'json', 'markdown', 'html']);
}

/**
 * Writes and prints a new plan: with the checks of a policy, without secrets, signed if a flag says so, and remembered
 * as made on this machine.
 * @returns the exit code
 * @throws TransshipError RESPONSE_INVALID, FILE_UNREADABLE, FILE_INVALID, FILE_WRITE_FAILED, POLICY_INVALID
 */
export async function givePlan(made: Plan, flags: MakeFlags, io: Io): Promise<number> {
  const {out, format, signKey} = flags;
  const limited = await limitedPlan(made, flags);
  const redacted = redactedPlan(limited, io.redactor);
  if (out !== undefined || format === 'json') await rememberPlan(redacted.id, io);
  const plan = signKey === undefined ? redacted : await signedPlan(redacted, signKey);
  if (out === '-') {
    for (const piece of planText(plan)) io.stdout.write(piece);
    return exitOf(plan, flags);
  }
  if (out !== undefined) await writePlan(out, plan);
  printPlan(plan, format, io, {planFile: out});
  if (out !== undefined && format === 'text') io.stdout.write(planFileText(out, plan));
  return exitOf(plan, flags);
}

function exitOf(plan: Plan, {detailedExitcode}: MakeFlags): number {
  if (isForbidden(plan)) return 3;
  return detailedExitcode === true && stepsOf(plan).length > 0 ? 2 : 0;
}

function stepsOf(plan: Plan): readonly unknown[] {
  return plan.kind === 'copy' ? plan.steps : allSteps(plan);
}

function isForbidden({checks}: Plan): boolean {
  return checks.some(({result}) => result === 'forbid');
}
