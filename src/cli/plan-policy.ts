import type {Command} from 'commander';
import {readRegular} from '../http/regular-file.ts';
import {TransshipError} from '../model/error.ts';
import type {Check, Plan} from '../model/plan.ts';
import {MIGRATION_SIZE_LIMIT} from '../plan/migration/yaml-source.ts';
import {planId} from '../plan/plan-file.ts';
import {policyChecks} from '../plan/policy/policy-checks.ts';
import {type Policy, readPolicy} from '../plan/policy/policy.ts';

/** The flag that names a policy. */
export interface PolicyFlag {
  readonly policy?: string;
}

export function addPolicyFlag(command: Command): Command {
  return command.option('--policy <file>', 'exit 3 if the plan exceeds a limit in this file');
}

/**
 * The plan with the checks of the policy, so that the review shows them and the plan cannot be applied.
 * @throws TransshipError FILE_UNREADABLE, POLICY_INVALID
 */
export async function limitedPlan(plan: Plan, flag: PolicyFlag): Promise<Plan> {
  const found = await violations(plan, flag);
  if (found.length === 0) return plan;
  const limited = {...plan, checks: [...plan.checks, ...found]};
  return {...limited, id: planId(limited)};
}

/**
 * Whether the policy needs the platforms of all images, which planning reads only on demand.
 * @throws TransshipError FILE_UNREADABLE, POLICY_INVALID
 */
export async function readsPlatforms({policy}: PolicyFlag): Promise<boolean> {
  return policy !== undefined && (await readPolicyFile(policy)).requirePlatforms !== undefined;
}

/** The maximum number of messages in the error; the others are counted. */
const MESSAGES = 5;

/**
 * Checks a plan from elsewhere, whatever policy it was made with.
 * @throws TransshipError PLAN_FORBIDDEN; FILE_UNREADABLE, POLICY_INVALID
 */
export async function throwUnlessWithin(plan: Plan, flag: PolicyFlag): Promise<void> {
  const found = await violations(plan, flag);
  const [first] = found;
  if (first === undefined) return;
  throw new TransshipError('PLAN_FORBIDDEN', messageOf(found), {side: 'local', hint: first.hint});
}

function messageOf(found: readonly Check[]): string {
  const messages = found.slice(0, MESSAGES).map(({code, message}) => `${code}: ${message}`);
  const more = found.length > MESSAGES ? [`and ${found.length - MESSAGES} more`] : [];
  return [...messages, ...more].join('; ');
}

async function violations(plan: Plan, {policy}: PolicyFlag): Promise<readonly Check[]> {
  return policy === undefined ? [] : policyChecks(plan, await readPolicyFile(policy));
}

async function readPolicyFile(file: string): Promise<Policy> {
  const bytes = await readRegular(file, MIGRATION_SIZE_LIMIT).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TransshipError('FILE_UNREADABLE', `the policy ${file} cannot be read: ${why}`, {
      side: 'local',
      hint: 'check that the path is right and that you may read it',
      cause,
    });
  });
  return readPolicy(bytes.toString(), file);
}
