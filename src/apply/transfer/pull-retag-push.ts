import {proveUpload} from '../../gitlab/preflight/registry.ts';
import {shortDigest} from '../../model/digest.ts';
import {TransshipError} from '../../model/error.ts';
import {errorData} from '../../model/event.ts';
import type {StepResult} from '../../model/outcome.ts';
import type {CopySet, ProjectMove, TransferStep} from '../../model/transfer-plan.ts';
import {type CopyRunResult, type CopyWork, runCopies} from '../copy-run.ts';
import {compareDestination, sortedDrift} from '../find-drift.ts';
import {goesByDates} from '../../plan/transfer/estimate.ts';
import {deletedOf} from '../unfinished.ts';
import {oldName} from './delete-old.ts';
import {donorAbsent, isDonorThere, prepareDonor} from './donor.ts';
import {DONE, PRESENT, type StepEnd, type TransferRun} from './transfer-run.ts';
import {copySetOf} from './verify-place.ts';

/** Copies the images from the old path to the donor. Content that the donor already has is kept. */
export async function pull(
  move: ProjectMove,
  copySet: CopySet,
  run: TransferRun,
): Promise<StepEnd> {
  if (run.progress.where !== 'before') return PRESENT;
  await prepareDonor(move, run);
  const isAgain = run.progress.isPulled;
  run.progress.isPulled = true;
  return runCopySet(move, copySet, run, {isTagOrderKept: false, isAgain});
}

/** Whether the tags of a repository have to be pushed one after the other: see `goesByDates`. */
export async function isOrdered({steps}: ProjectMove, run: TransferRun): Promise<boolean> {
  if (!steps.some((step) => step.kind === 'pause' && goesByDates(step.policy))) return false;
  return (await run.context.traits(run.reading)).database;
}

/**
 * Copies the images from the donor to the new path, the oldest first if their dates matter. A tag that somebody else
 * pushed to the new path is kept, and reported after all others are there.
 */
export async function push(
  move: ProjectMove,
  copySet: CopySet,
  run: TransferRun,
): Promise<StepEnd> {
  return runCopySet(move, copySet, run, {isTagOrderKept: await isOrdered(move, run)});
}

/** Copies what is missing. A tag that is neither as planned nor as observed is kept, and reported as drift. */
export async function runCopySet(
  move: ProjectMove,
  {copies, blobs}: CopySet,
  {context, interruption, reading}: TransferRun,
  how: Pick<CopyWork, 'isTagOrderKept' | 'isAgain'>,
): Promise<StepEnd> {
  const {done, drift} = await compareDestination(copies, context.repositories, reading);
  const strange = new Set(drift.map(({repository, tag}) => `${repository}:${tag}`));
  const ours = copies.filter(({to, tag}) => !strange.has(`${to}:${tag ?? ''}`));
  const work = {copies: ours, blobs, manifests: move.manifests, done, ...how};
  const copied = await runCopies(work, context, interruption);
  return stepEnd({...copied, drift: sortedDrift([...drift, ...copied.drift])});
}

function stepEnd({end, drift, steps: images, counts}: CopyRunResult): StepEnd {
  const copied = {images, counts};
  if (end === 'interrupted') return {end, ...copied};
  if (end === 'failed') return {end: 'failed', error: firstFailure(images), ...copied};
  if (drift.length > 0) return {end: 'drift', drift, ...copied};
  return images.every(({outcome}) => outcome === 'present')
    ? {...PRESENT, ...copied}
    : {...DONE, ...copied};
}

function firstFailure(images: readonly StepResult[]): ReturnType<typeof errorData> {
  const failed = images.filter(({outcome}) => outcome === 'failed' || outcome === 'blocked');
  const error = failed.find((image) => image.error !== undefined)?.error;
  if (error === undefined) {
    const options = {side: 'local', hint: 'apply again to resume'} as const;
    return errorData(new TransshipError('INTERNAL', 'no image reports why it failed', options));
  }
  return {...error, message: `${failed.length} of ${images.length} images: ${error.message}`};
}

/**
 * Proves once more, just before the first deletion, that the registry accepts what has to be pushed after the move. A
 * manifest that an earlier run deleted and the registry no longer has cannot be tried, but that run tried it. If
 * nothing is left to delete, no upload is started, because it would create GitLab's record of the image path again.
 * @throws TransshipError the refusal
 */
export async function probe(
  {project, repositories: planned}: ProjectMove,
  step: TransferStep & {readonly kind: 'probe'},
  {context, call, progress}: TransferRun,
): Promise<StepEnd> {
  if (progress.where !== 'before') return PRESENT;
  const deleted = new Set(deletedOf(context.journal.unfinished, project.id).map(oldName));
  const isLeft = planned.some(({from: repository, tags}) =>
    tags.some(({name: tag}) => !deleted.has(oldName({repository, tag}))),
  );
  if (!isLeft) return PRESENT;
  const {repositories} = context;
  const [first] = step.manifests.filter(({repository}) => repository === step.uploadsTo);
  const uploads = repositories.destination(step.uploadsTo);
  const sample = first && (await uploads.getManifest(first.digest, call));
  await proveUpload(uploads, sample, call);
  for (const {repository, digest} of step.manifests) {
    const at = repositories.destination(repository);
    const manifest = await at.getManifest(digest, call);
    if (manifest !== undefined) await at.putManifest(digest, manifest, call);
  }
  return DONE;
}

/**
 * Gives each image at the donor its name at the new path. The push writes the names; this step proves that the donor
 * has each image that the new path lacks, under the name from which it is pushed. If this run verified the donor before
 * the move, that is already proved.
 * @throws TransshipError MANIFEST_NOT_FOUND, DONOR_ABSENT
 */
export async function retag(move: ProjectMove, run: TransferRun): Promise<StepEnd> {
  const {context, reading, progress} = run;
  if (progress.isDonorProved) return DONE;
  const {copies} = copySetOf(move, 'push');
  const {done} = await compareDestination(copies, context.repositories, reading);
  const left = copies.filter(({id}) => !done.has(id));
  if (left.length > 0 && !(await isDonorThere(move, run))) throw donorAbsent(move, context);
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
