import {shortDigest} from '../../model/digest.ts';
import {TransshipError} from '../../model/error.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import {compareDestination} from '../find-drift.ts';
import {donorAbsent, isDonorThere} from './donor.ts';
import {carriageOf} from './expected-at.ts';
import {DONE, PRESENT, type StepEnd} from './step-end.ts';
import type {TransferRun} from './transfer-context.ts';

/**
 * Gives each image at the donor its name at the new path. The name is written by the push, which puts the manifest
 * under it; what is proved here is that the donor has every image that the new path lacks, under the name that it is
 * pushed from. A run that proved the donor before the move has done so already.
 * @throws TransshipError MANIFEST_NOT_FOUND, DONOR_ABSENT
 */
export async function retag(plan: TransferPlan, run: TransferRun): Promise<StepEnd> {
  const {context, reading, progress} = run;
  if (progress.isDonorProved) return DONE;
  const {copies} = carriageOf(plan, 'push');
  const {done} = await compareDestination(copies, context.repositories, reading);
  const left = copies.filter(({id}) => !done.has(id));
  if (left.length > 0 && !(await isDonorThere(plan, run))) throw donorAbsent(plan, context);
  for (const {from, sourceTag, digest} of left) {
    const reference = sourceTag?.name ?? digest;
    const there = await context.repositories.source(from).head(reference, reading);
    if (there?.digest === (sourceTag?.digest ?? digest)) continue;
    throw new TransshipError(
      'MANIFEST_NOT_FOUND',
      `the donor ${from} does not have ${reference} as ${shortDigest(digest)}`,
      {
        side: 'source',
        hint: 'somebody changed the donor: bring its content back, then apply again',
      },
    );
  }
  return left.length === 0 ? PRESENT : DONE;
}
