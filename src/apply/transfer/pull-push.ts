import {errorData} from '../error-data.ts';
import type {StepResult} from '../../model/outcome.ts';
import {TransshipError} from '../../model/error.ts';
import type {Carriage, TransferPlan} from '../../model/transfer-plan.ts';
import {type Cargo, carryCopies, type Carried} from '../carry-copies.ts';
import {compareDestination, inOrder} from '../find-drift.ts';
import {prepareDonor} from './donor.ts';
import {DONE, PRESENT, type StepEnd} from './step-end.ts';
import type {TransferRun} from './transfer-context.ts';

/** Brings the images from the old path to the donor; what the donor has already stays as it is. */
export async function pull(
  plan: TransferPlan,
  carriage: Carriage,
  run: TransferRun,
): Promise<StepEnd> {
  if (run.progress.where !== 'before') return PRESENT;
  await prepareDonor(plan, run);
  const isAgain = run.progress.isPulled;
  run.progress.isPulled = true;
  return carry(plan, carriage, run, {isTagOrderKept: false, isAgain});
}

/**
 * Brings the images from the donor to the new path, oldest first where the registry dates tags by their push. A tag
 * that somebody pushed to the new path meanwhile is left alone and told of when all others are there.
 */
export async function push(
  plan: TransferPlan,
  carriage: Carriage,
  run: TransferRun,
): Promise<StepEnd> {
  const {database} = await run.context.traits(run.reading);
  return carry(plan, carriage, run, {isTagOrderKept: database});
}

/** Carries what is not there yet; what is there and neither as planned nor as it was stays, and is told of as drift. */
export async function carry(
  plan: TransferPlan,
  {copies, blobs}: Carriage,
  {context, interruption, reading}: TransferRun,
  how: Pick<Cargo, 'isTagOrderKept' | 'isAgain'>,
): Promise<StepEnd> {
  const {done, drift} = await compareDestination(copies, context.repositories, reading);
  const strange = new Set(drift.map(({repository, tag}) => `${repository}:${tag}`));
  const ours = copies.filter(({to, tag}) => !strange.has(`${to}:${tag ?? ''}`));
  const cargo = {copies: ours, blobs, manifests: plan.manifests, done, ...how};
  const carried = await carryCopies(cargo, context, interruption);
  return stepEnd({...carried, drift: inOrder([...drift, ...carried.drift])});
}

function stepEnd({end, drift, steps: images, counts}: Carried): StepEnd {
  const carried = {images, counts};
  if (end === 'interrupted') return {end, ...carried};
  if (end === 'failed') return {end: 'failed', error: firstFailure(images), ...carried};
  if (drift.length > 0) return {end: 'drift', drift, ...carried};
  return images.every(({outcome}) => outcome === 'present')
    ? {...PRESENT, ...carried}
    : {...DONE, ...carried};
}

function firstFailure(images: readonly StepResult[]): ReturnType<typeof errorData> {
  const failed = images.filter(({outcome}) => outcome === 'failed' || outcome === 'blocked');
  const error = failed.find((image) => image.error !== undefined)?.error;
  if (error === undefined) {
    const options = {side: 'local', hint: 'apply again to go on'} as const;
    return errorData(new TransshipError('INTERNAL', 'no image reports why it failed', options));
  }
  return {...error, message: `${failed.length} of ${images.length} images: ${error.message}`};
}
