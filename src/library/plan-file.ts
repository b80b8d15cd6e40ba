import {readRegular} from '../http/regular-file.ts';
import {TransshipError} from '../model/error.ts';
import type {CopyPlan, Plan} from '../model/plan.ts';
import {parsePlan, PLAN_LIMITS, planText} from '../plan/plan-file.ts';
import {writeOutput} from './output-file.ts';

/**
 * Reads a plan of copies (docs/plan-format.md) and checks that its id fits what it says. Whoever wrote the file chose
 * the hosts and directories in it: look at `plan.routes` before you apply the plan of somebody else.
 * @throws TransshipError FILE_UNREADABLE, PLAN_INVALID and the like; USAGE for a plan of transfers
 */
export async function readPlan(file: string): Promise<CopyPlan> {
  const plan = await readPlanFile(file);
  if (plan.kind === 'copy') return plan;
  throw new TransshipError('USAGE', `${file} is the plan of a transfer`, {
    side: 'local',
    hint: 'apply it with the command line',
  });
}

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

/**
 * Writes a plan of copies to a file, all of it or nothing.
 * @throws TransshipError FILE_WRITE_FAILED
 */
export async function writePlan(file: string, plan: CopyPlan): Promise<void>;
/** @internal A plan of any kind. */
export async function writePlan(file: string, plan: Plan): Promise<void>;
export async function writePlan(file: string, plan: Plan): Promise<void> {
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
            : 'name a file in a writable directory with --out',
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

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
