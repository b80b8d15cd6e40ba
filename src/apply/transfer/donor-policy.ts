import {type CleanupPolicy, cleanupPolicySchema} from '../../gitlab/cleanup-policy.ts';
import type {Project} from '../../gitlab/project.ts';
import {asTransshipError} from '../../model/error.ts';
import type {Call} from '../../model/port.ts';
import type {TransferContext} from './transfer-context.ts';

type Context = Pick<TransferContext, 'gitlab' | 'journal' | 'report'>;

/** Stops the cleanup policy of a donor project, which could delete what waits there, and remembers what it was. */
export async function holdDonorPolicy(
  {id, cleanupPolicy}: Project,
  {gitlab, journal}: Context,
  call: Call,
): Promise<void> {
  if (cleanupPolicy?.enabled !== true) return;
  await journal.append({type: 'donor-policy', project: id, policy: {...cleanupPolicy}});
  await gitlab.projects.setCleanupPolicy(id, {enabled: false}, call);
}

/**
 * Puts the policies of donor projects back that this plan stopped, in this run or an earlier one, unless somebody has
 * switched them on since. A failure is told, and does not change what came of the run: the next one tries again.
 */
export async function releaseDonorPolicies(context: Context, call: Call): Promise<void> {
  for (const [id, policy] of heldPolicies(context)) {
    try {
      const project = await context.gitlab.projects.find(id, call);
      if (project?.cleanupPolicy?.enabled === false)
        await context.gitlab.projects.setCleanupPolicy(id, policy, call);
      await context.journal.append({type: 'donor-policy', project: id});
    } catch (error) {
      const {message} = asTransshipError(error, 'gitlab');
      context.report({
        type: 'notice',
        code: 'DONOR_POLICY_STOPPED',
        message: `the cleanup policy of the donor project ${id} is still stopped: ${message}`,
      });
    }
  }
}

function heldPolicies({journal}: Context): ReadonlyMap<number, CleanupPolicy> {
  const held = new Map<number, CleanupPolicy>();
  for (const entry of journal.transfer) {
    if (entry.type !== 'donor-policy') continue;
    if (entry.policy === undefined) held.delete(entry.project);
    else held.set(entry.project, cleanupPolicySchema.parse(entry.policy));
  }
  return held;
}
