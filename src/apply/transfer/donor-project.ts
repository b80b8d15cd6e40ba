import {TransshipError} from '../../model/error.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import type {Call} from '../../model/port.ts';
import type {TransferContext, TransferRun} from './transfer-context.ts';

/**
 * Makes sure that there is a donor to push to. A donor project that the plan creates is private and has no cleanup
 * policy at work, which would delete what waits there.
 * @throws TransshipError PROJECT_NOT_FOUND where the donor was deleted since, and what `Projects.create` throws
 */
export async function ensureDonor(
  {donor}: TransferPlan,
  {context, call}: TransferRun,
): Promise<void> {
  if (donor.kind === 'directory') return;
  const {projects} = context.gitlab;
  const found = await projects.find(donor.id ?? donor.path, call);
  const isThere = found?.fullPath.toLowerCase() === donor.path.toLowerCase();
  if (!isThere && donor.id !== undefined) {
    throw new TransshipError('PROJECT_NOT_FOUND', `the donor project ${donor.path} is not there`, {
      side: 'gitlab',
      hint: 'it was deleted or moved since planning; plan again',
    });
  }
  const path = donor.path.slice(donor.path.lastIndexOf('/') + 1);
  const {namespaceId} = donor;
  const project = isThere
    ? found
    : await projects.create({path, namespaceId, visibility: 'private'}, call);
  if (project.cleanupPolicy?.enabled === true)
    await projects.setCleanupPolicy(project.id, {enabled: false}, call);
}

/** Whether the donor can be asked: the registry answers nobody for a project that is not there. */
export async function isDonorThere(
  {donor}: TransferPlan,
  {context, call}: {readonly context: Pick<TransferContext, 'gitlab'>; readonly call: Call},
): Promise<boolean> {
  if (donor.kind === 'directory') return true;
  return (await context.gitlab.projects.find(donor.id ?? donor.path, call)) !== undefined;
}
