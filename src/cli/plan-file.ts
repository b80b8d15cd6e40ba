import type {Command} from 'commander';
import {TransshipError} from '../model/error.ts';
import type {Plan} from '../model/plan.ts';
import {allSteps} from '../model/transfer-plan.ts';
import {readRegular} from '../http/regular-file.ts';
import {parsePlan, PLAN_LIMITS, planId, planText} from '../plan/plan-file.ts';

import {
  type PlanFormat,
  planJson,
  renderPlan,
  type ReviewOptions,
} from '../report/plan-document.ts';
import type {Io} from './io.ts';
import type {Redactor} from '../http/secrets.ts';
import {DIGEST_PATTERN, hexOf} from '../model/digest.ts';
import {addFormatFlag} from './options.ts';
import {writeOutput} from './output-file.ts';
import {rememberPlan} from './own-plans.ts';
import {addPolicyFlag, limitedPlan, type PolicyFlag} from './plan-policy.ts';
import {addSignFlag, signedPlan} from './plan-review.ts';

/** @throws TransshipError FILE_UNREADABLE, and what `parsePlan` throws */
export async function readPlanFile(file: string): Promise<Plan> {
  let bytes: Uint8Array;
  try {
    bytes = await readRegular(file, PLAN_LIMITS.size);
  } catch (error) {
    throw new TransshipError(
      'FILE_UNREADABLE',
      `the plan ${file} cannot be read: ${reason(error)}`,
      {
        side: 'local',
        hint: 'name a file written by "transship plan … --out FILE"',
        cause: error,
      },
    );
  }
  return parsePlan(bytes, file);
}

/** @throws TransshipError FILE_WRITE_FAILED */
async function writePlanFile(file: string, plan: Plan): Promise<void> {
  try {
    await writeOutput(file, readable(plan));
  } catch (error) {
    throw new TransshipError(
      'FILE_WRITE_FAILED',
      `the plan ${file} cannot be written: ${reason(error)}`,
      {
        side: 'local',
        hint:
          error instanceof PlanTooLarge
            ? 'make several plans, each for some of the tags, with --tag'
            : 'name a file in a writable folder with --out',
        cause: error,
      },
    );
  }
}

class PlanTooLarge extends Error {
  override readonly message = 'it exceeds the size limit of plans';
}

/** @throws PlanTooLarge */
function* readable(plan: Plan): Generator<string> {
  let size = 0;
  let values = 0;
  for (const piece of planText(plan)) {
    size += piece.length;
    // A comma is between two values, or in a text: never fewer than there are.
    values += piece.split(',').length;
    if (size > PLAN_LIMITS.size || values > PLAN_LIMITS.values) throw new PlanTooLarge();
    yield piece;
  }
}

/** Prints a plan, or its review. HTML is always full. */
export function printPlan(
  plan: Plan,
  format: PlanFormat,
  {stdout, columns}: Pick<Io, 'stdout' | 'columns'>,
  options: ReviewOptions = {},
): void {
  if (format === 'json') for (const piece of planJson(plan)) stdout.write(piece);
  else stdout.write(renderPlan(plan, format, {...options, columns: columns?.()}));
}

/** What is said below a review: where the plan is, and what can be done with it. */
function planFileText(file: string, plan: Plan): string {
  return isForbidden(plan)
    ? `\nThe plan is in ${file}. It cannot be applied: change what is listed as forbidden, then plan again.\n`
    : `\nThe plan is in ${file}. To apply it: transship apply ${file}\n`;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A plan that a command line names, and the file that its journal and its donor folders are beside. */
interface GivenPlan {
  readonly plan: Plan;
  readonly file: string;
}

/**
 * Reads the plan that a command line names. `-` is stdin: its journal is in the working directory, named by its id.
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
 * Writes and prints a plan that was made: with what a policy forbids, without secrets, signed where a flag says so, and
 * remembered as made here.
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
  if (out !== undefined) await writePlanFile(out, plan);
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

/** Fields of a plan that are written for people and may quote what a server said. */
const WORDS = new Set(['why', 'detail', 'message', 'hint']);
/** Names are compared with secrets of this many characters or more: a shorter password may well be a part of a name. */
const SHORTEST = 8;

/**
 * The plan as it may be written to a file: secrets in texts are blanked, and the id is that of what is left. A name
 * (of a tag, a repository, a media type) cannot be blanked; the user's own words in the wish are no secrets.
 * @throws TransshipError RESPONSE_INVALID where a server gave a secret back as a name
 */
export function redactedPlan<T extends Plan>(plan: T, redactor: Redactor): T {
  if (isClean(plan, redactor)) return plan;
  const wish = JSON.stringify(plan.wish);
  const isSecret = (secret: string): boolean =>
    secret.length >= SHORTEST && !wish.includes(JSON.stringify(secret).slice(1, -1));
  const redact = (key: string, value: string): string => {
    if (WORDS.has(key)) return redactor.redact(value);
    if (!DIGEST_PATTERN.test(value) && redactor.secretsIn(value).some(isSecret))
      throw secretAsName(redactor.redact(value));
    return value;
  };
  const redacted = redactedValue(plan, redact) as T;
  return {...redacted, id: planId(redacted)};
}

/** Characters that are looked through at once. */
const LOOK_THROUGH = 64 * 1024;

function isClean(plan: Plan, redactor: Redactor): boolean {
  let texts = '';
  let clean = true;
  const look = (): void => {
    clean &&= redactor.isClean(texts);
    texts = '';
  };
  const walk = (value: unknown): void => {
    if (typeof value === 'string') {
      if (DIGEST_PATTERN.test(value)) return;
      texts += `${value}\n`;
      if (texts.length >= LOOK_THROUGH) look();
    } else if (typeof value === 'object' && value !== null) {
      for (const item of Array.isArray(value) ? value : Object.values(value)) walk(item);
    }
  };
  walk(plan);
  look();
  return clean;
}

/** All texts of a value, with the names of the fields that they are in, through `redact`. */
function redactedValue(
  value: unknown,
  redact: (key: string, text: string) => string,
  key = '',
): unknown {
  if (typeof value === 'string') return redact(key, value);
  if (Array.isArray(value)) return value.map((item: unknown) => redactedValue(item, redact, key));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, redactedValue(item, redact, name)]),
  );
}

function secretAsName(name: string): TransshipError {
  return new TransshipError(
    'RESPONSE_INVALID',
    `a server returned the name "${name}", which contains a secret that was sent to it`,
    {
      side: 'source',
      hint: 'do not trust the server with this login: change the password or revoke the token',
    },
  );
}
