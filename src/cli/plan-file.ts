import {randomBytes} from 'node:crypto';
import {open, rename, stat, writeFile} from 'node:fs/promises';
import {basename, dirname, join} from 'node:path';
import {TransshipError} from '../model/error.ts';
import type {Plan} from '../model/plan.ts';
import type {TransferPlan} from '../model/transfer-plan.ts';
import {readRegular} from '../http/regular-file.ts';
import {parsePlan, PLAN_LIMITS, planText} from '../plan/plan-file.ts';
import type {RenderOptions} from '../report/document.ts';
import {type PlanFormat, renderPlan} from '../report/plan.ts';
import {printableJsonText} from '../report/words.ts';
import type {TextSink} from './io.ts';
import {removeFile} from '../places/remove-file.ts';

/** @throws TransshipError FILE_UNREADABLE, PLAN_INVALID, PLAN_EDITED, PLAN_FORMAT_NEWER */
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

/** As `readPlanFile`, for what knows plans of transfers only. @throws TransshipError USAGE as well */
export async function readTransferPlanFile(file: string): Promise<TransferPlan> {
  const plan = await readPlanFile(file);
  if (plan.kind === 'transfer') return plan;
  throw new TransshipError('USAGE', `${file} is the plan of a copy`, {
    side: 'local',
    hint: 'this command is for plans of transfers; a copy does not change its source',
  });
}

/**
 * Writes the whole file or none of it; into a pipe or a device, which a rename would put out of the way, as it comes.
 * @throws TransshipError FILE_WRITE_FAILED
 */
export async function writePlanFile(file: string, plan: Plan): Promise<void> {
  try {
    const there = await stat(file).catch(() => undefined);
    if (there === undefined || there.isFile() || there.isDirectory()) await replace(file, plan);
    else await writeFile(file, readable(plan));
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
  override readonly message = 'it is too large to be read again';
}

/** @throws PlanTooLarge */
function* readable(plan: Plan): Generator<string> {
  let size = 0;
  for (const piece of planText(plan)) {
    size += piece.length;
    if (size > PLAN_LIMITS.size) throw new PlanTooLarge();
    yield piece;
  }
}

/** Prints a plan, or its review. HTML is always full. */
export function printPlan(
  plan: Plan,
  format: PlanFormat,
  stdout: TextSink,
  options: RenderOptions = {},
): void {
  if (format === 'json') for (const piece of planText(plan)) stdout.write(printableJsonText(piece));
  else stdout.write(renderPlan(plan, format, options));
}

/** What is said below a review: where the plan is, and what can be done with it. */
export function planFileText(file: string, {checks}: Plan): string {
  return checks.some(({result}) => result === 'forbid')
    ? `\nThe plan is in ${file}. It cannot be applied: change what is listed as forbidden, then plan again.\n`
    : `\nThe plan is in ${file}. To carry it out: transship apply ${file}\n`;
}

async function replace(file: string, plan: Plan): Promise<void> {
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}`);
  try {
    await using handle = await open(temporary, 'wx');
    await handle.writeFile(readable(plan));
    await handle.sync();
    await rename(temporary, file);
  } catch (error) {
    await removeFile(temporary);
    throw error;
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
