import {TransshipError} from '../../model/error.ts';
import type {Drift, RunResult} from '../../model/outcome.ts';
import type {BlobAction, CopyStep} from '../../model/plan.ts';
import type {CopySet, TransferPlan} from '../../model/transfer-plan.ts';
import type {Interruption} from '../apply-context.ts';
import {reportEnd} from '../apply-plan.ts';
import {planWithAdopted} from './adopt-tags.ts';
import {donorAbsent, isDonorThere} from './donor.ts';
import {copySetOf, compareAt} from './verify-place.ts';
import {oldName, type OldTag, readOldTags} from './delete-old.ts';
import {resumePolicies, resumeStep} from './policy.ts';
import {runCopySet} from './pull-retag-push.ts';
import {
  DONE,
  newProgress,
  PRESENT,
  sizeOf,
  type StepEnd,
  Tally,
  type TransferContext,
  type TransferRun,
} from './transfer-run.ts';
import {doneOf, standingOf, locateProject} from './standing.ts';
import type {Manifest} from '../../model/manifest.ts';
import type {RepositoryWriter} from '../../model/port.ts';

/**
 * Takes a half-done transfer back: every image that is gone from the old path comes back from the donor, and the cleanup
 * policy is as it was. Without a donor, what the registry still has comes back. A tag that somebody pushed to the old path
 * meanwhile stays. Done twice, the second changes nothing.
 * @throws TransshipError ROLLBACK_TOO_LATE once the project has moved; what the registry and GitLab refuse
 */
export async function rollbackTransfer(
  planned: TransferPlan,
  context: TransferContext,
  interruption: Interruption,
): Promise<RunResult> {
  const call = {signal: interruption.aborted};
  const where = await locateProject(planned, context, call);
  if (where !== 'before') throw tooLate(planned);
  const progress = newProgress(where);
  // A comparison that was ended early would leave no result: this is not taken apart into steps.
  const run = {context, interruption, call, reading: call, progress};
  // Nothing is deleted on the way back: what was taken along and is at the old path again is as it was.
  const plan = await planWithAdopted(planned, {...run, context: {...context, adoptNewTags: true}});
  const way = backward(plan);
  context.report({type: 'run-started', plan: plan.id, ...sizeOf([way])});
  await context.journal.append({type: 'rollback'});
  const missing = (await readOldTags(plan, run)).drift.filter(({actual}) => actual === null);
  const ran = await takeBack(plan, way, run);
  const isBack = ran.result === 'done' || ran.result === 'drift';
  if (isBack) await resumePolicies(plan, context, call);
  const {deleted, paused} = context.journal.unfinished;
  await context.journal.end(ran.result);
  const transfer = standingOf(plan, {
    project: where,
    gone: isBack ? 0 : new Set([...deleted.keys(), ...missing.map(oldName)]).size,
    done: doneOf(ran.steps),
    isPaused: paused.has(plan.project.id),
    end: ran.result,
    isRollback: true,
  });
  const result = {...ran, ...(transfer === undefined ? {} : {transfer})};
  reportEnd(result, context.report);
  return result;
}

async function takeBack(
  plan: TransferPlan,
  copySet: CopySet,
  run: TransferRun,
): Promise<RunResult> {
  const tally = new Tally(plan.id);
  const end = await putBack(plan, copySet, run);
  const drift = end.end === 'drift' ? end.drift : [];
  if (end.end === 'failed' || end.end === 'interrupted' || end.end === 'not-started') {
    tally.add('put-back', end);
    return tally.result(end.end === 'failed' ? 'failed' : 'interrupted');
  }
  tally.add('put-back', drift.length > 0 ? {...end, end: 'done'} : end);
  await throwIfNotWhole(plan, drift, run);
  tally.add('verify-old', DONE);
  if (plan.steps.some(({kind}) => kind === 'pause'))
    tally.add('resume', await resumeStep(plan, run));
  return drift.length > 0 ? tally.result('drift', drift) : tally.result('done');
}

async function putBack(plan: TransferPlan, copySet: CopySet, run: TransferRun): Promise<StepEnd> {
  if (!(await isDonorThere(plan, run))) return putBackByDigest(plan, run);
  const {database} = await run.context.traits(run.call);
  return runCopySet(plan, copySet, run, {isTagOrderKept: database});
}

async function throwIfNotWhole(
  plan: TransferPlan,
  drift: readonly Drift[],
  {context, call}: TransferRun,
): Promise<void> {
  const {differences} = await compareAt(plan, 'old', context.repositories, call);
  const known = new Set(drift.map(({repository, tag}) => `${repository}:${tag}`));
  const first = differences.find(
    ({repository, tag}) => tag === undefined || !known.has(`${repository}:${tag}`),
  );
  if (first === undefined) return;
  throw new TransshipError(
    'VERIFY_FAILED',
    `the ${first.what} ${first.repository}${first.tag === undefined ? `@${first.digest}` : `:${first.tag}`} is not at the old path`,
    {side: 'destination', hint: 'roll back again: what is missing is pushed from the donor'},
  );
}

/** From the donor to the old path: the way of the push with another end. */
function backward(plan: TransferPlan): CopySet {
  const {copies, blobs} = copySetOf(plan, 'push');
  const names = new Map(plan.repositories.map(({from, to}) => [to, from]));
  const at = (to: string): string => names.get(to) ?? to;
  const isOfTransfer = new Set(plan.repositories.map(({to}) => to));
  return {
    copies: copies.map(
      (copy): CopyStep => ({
        ...copy,
        id: backId(copy.id),
        to: at(copy.to),
        needs: copy.needs.map(backId),
        replaces: null,
      }),
    ),
    blobs: blobs.map((blob): BlobAction => {
      const {mountFrom} = blob;
      const isMoved = mountFrom !== undefined && isOfTransfer.has(mountFrom);
      return {...blob, to: at(blob.to), ...(isMoved ? {mountFrom: at(mountFrom)} : {})};
    }),
  };
}

function backId(id: string): string {
  return `back:${id}`;
}

function tooLate({project: {from, to}}: TransferPlan): TransshipError {
  return new TransshipError(
    'ROLLBACK_TOO_LATE',
    `the project has left ${from}, so its images cannot be pushed there any more`,
    {
      side: 'gitlab',
      hint: `apply the plan again to put the images at ${to}; then plan a transfer back to ${from}`,
    },
  );
}

/**
 * Puts tags back at the old path without the donor: a deleted tag leaves its manifest, which GitLab's registry keeps
 * until it collects garbage, with a database for a day at least (GitLab container registry:
 * docs/spec/gitlab/online-garbage-collection.md, `review_after`). Putting the same bytes under the tag is enough.
 * @throws TransshipError DONOR_ABSENT once all that the registry still has is back, where that is not all
 */
async function putBackByDigest(plan: TransferPlan, run: TransferRun): Promise<StepEnd> {
  const {context, call} = run;
  const lost: OldTag[] = [];
  const drift: Drift[] = [];
  let back = 0;
  for (const old of wanted(plan, run)) {
    const {repository, tag, digest} = old;
    const at = context.repositories.destination(repository);
    const now = await at.head(tag, call);
    if (now !== undefined) {
      if (now.digest !== digest)
        drift.push({side: 'destination', repository, tag, planned: null, actual: now.digest});
      continue;
    }
    const manifest = await at.getManifest(digest, call);
    if (manifest !== undefined && (await isTaken(at, old, manifest, run))) back += 1;
    else lost.push(old);
  }
  const [first] = lost;
  if (first !== undefined) {
    const {message, hint, side} = donorAbsent(plan, context);
    const others = lost.length > 1 ? ` and ${lost.length - 1} more tags` : '';
    throw new TransshipError(
      'DONOR_ABSENT',
      `${message}, and the registry no longer has ${first.repository}:${first.tag}${others}`,
      {side, hint: `${back} tags were put back. ${hint}`},
    );
  }
  if (drift.length > 0) return {end: 'drift', drift};
  return back > 0 ? DONE : PRESENT;
}

/** What was planned, and what was taken along and deleted since; the latest word on a tag counts. */
function wanted({repositories}: TransferPlan, {context}: TransferRun): Iterable<OldTag> {
  const planned = repositories.flatMap(({from, tags}) =>
    tags.map(({name, digest}): OldTag => ({repository: from, tag: name, digest})),
  );
  const all = [...planned, ...context.journal.unfinished.deleted.values()];
  return new Map(all.map((old) => [`${old.repository}:${old.tag}`, old])).values();
}

/** False: the registry has lost a part of it. */
async function isTaken(
  at: RepositoryWriter,
  {tag}: OldTag,
  manifest: Manifest,
  {call}: TransferRun,
): Promise<boolean> {
  try {
    await at.putManifest(tag, manifest, call);
    return true;
  } catch (error) {
    if (error instanceof TransshipError && error.code === 'MANIFEST_PARTS_MISSING') return false;
    throw error;
  }
}
