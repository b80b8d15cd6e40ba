import {cleanupPolicySchema} from '../../gitlab/cleanup-policy.ts';
import {registryPathOf} from '../../gitlab/naming.ts';
import type {PolicyState, TransferPlan} from '../../model/transfer-plan.ts';
import {errorData} from '../error-data.ts';
import {isJournalFailure} from '../journal-file.ts';
import {DONE, PRESENT, type StepEnd} from './step-end.ts';
import type {TransferRun} from './transfer-context.ts';

/**
 * Stops the cleanup policy, which would delete what looks old in the middle of the move. Once the project has left its
 * old path this was done: a policy that is at work by then has been put back. What the policy was like is in the journal
 * before it is changed.
 */
export async function pausePolicy(
  plan: TransferPlan,
  policy: PolicyState,
  {context, call, progress}: TransferRun,
): Promise<StepEnd> {
  if (progress.where !== 'before') return PRESENT;
  const {projects} = context.gitlab;
  const {cleanupPolicy} = await projects.get(plan.project.id, call);
  if (progress.paused === undefined) await context.journal.append({type: 'pause', policy});
  progress.paused ??= policy;
  if (cleanupPolicy?.enabled === false) return PRESENT;
  await projects.setCleanupPolicy(plan.project.id, {enabled: false}, call);
  return DONE;
}

/** Puts the policy back as it was. */
export async function resumePolicy(
  plan: TransferPlan,
  policy: PolicyState,
  {context, call, progress}: TransferRun,
): Promise<StepEnd> {
  const {projects} = context.gitlab;
  const before = cleanupPolicySchema.parse(policy);
  const {cleanupPolicy} = await projects.get(plan.project.id, call);
  const isSame = Object.entries(before).every(
    ([name, value]) => cleanupPolicy?.[name as keyof typeof before] === value,
  );
  if (!isSame) await projects.setCleanupPolicy(plan.project.id, before, call);
  if (progress.paused !== undefined) await context.journal.append({type: 'resume'});
  progress.paused = undefined;
  return isSame ? PRESENT : DONE;
}

/**
 * Puts the policy back after a run that deleted nothing and did not come to its end: nobody may come back to this plan.
 * Where that fails, the policy stays paused, which the result and `status` tell.
 */
export async function resumeUnlessBegun(plan: TransferPlan, run: TransferRun): Promise<void> {
  const {context, progress} = run;
  const {paused, where, gone} = progress;
  if (paused === undefined || where !== 'before' || gone.size > 0) return;
  try {
    await resumePolicy(plan, paused, run);
    const message = `the cleanup policy of ${plan.project.from} is on again: nothing was deleted`;
    context.report({type: 'notice', code: 'POLICY_RESUMED', message});
  } catch (error) {
    if (isJournalFailure(error)) throw error;
    const message = `the cleanup policy of ${plan.project.from} stays off: ${errorData(error).message}`;
    context.report({type: 'notice', code: 'POLICY_STAYS_PAUSED', message});
  }
}

/** Tells of rules that go on protecting the old path: GitLab keeps their patterns as they are when a project moves. */
export async function tellOldRules(
  plan: TransferPlan,
  {context, call}: TransferRun,
): Promise<void> {
  const {id, from, to} = plan.project;
  const old = registryPathOf(from);
  const rules = (await context.gitlab.protection.ofRepositories(id, call)) ?? [];
  for (const {pattern} of rules) {
    if (pattern.toLowerCase() !== old && !pattern.toLowerCase().startsWith(`${old}/`)) continue;
    context.report({
      type: 'notice',
      code: 'RULE_KEEPS_OLD_PATH',
      message: `the protection rule "${pattern}" names the old path; give it ${registryPathOf(to)} in its place`,
    });
  }
}
