import {TransshipError} from '../../model/error.ts';
import {errorData} from '../../model/event.ts';
import type {Manifest} from '../../model/manifest.ts';
import type {Drift, RunResult} from '../../model/outcome.ts';
import type {BlobAction, CopyStep} from '../../model/plan.ts';
import type {RepositoryWriter} from '../../model/port.ts';
import {
  type CopySet,
  type ProjectMove,
  stepId,
  type TransferPlan,
} from '../../model/transfer-plan.ts';
import type {Interruption} from '../apply-context.ts';
import {reportEnd} from '../apply-plan.ts';
import {isJournalFailure} from '../journal-file.ts';
import {deletedOf} from '../unfinished.ts';
import {moveWithAdopted} from './adopt-tags.ts';
import {oldName, type OldTag, readOldTags} from './delete-old.ts';
import {donorAbsent, isDonorThere} from './donor.ts';
import {endProject, notStarted, type ProjectEnd, resultOf} from './plan-result.ts';
import {resumePolicies, resumeStep} from './policy.ts';
import {runCopySet} from './pull-retag-push.ts';
import {locateProject} from './standing.ts';
import {
  DONE,
  type PlanRun,
  PRESENT,
  type ProjectRan,
  projectRun,
  sizeOf,
  type StepEnd,
  sumOfSizes,
  Tally,
  type TransferContext,
  type TransferRun,
} from './transfer-run.ts';
import {compareAt, copySetOf} from './verify-place.ts';

/**
 * Takes half-done transfers back, the last one first: every image that is gone from the old path of a project comes back
 * from the donor, and the cleanup policy is as it was. Without a donor, what the registry still has comes back. A tag that
 * somebody pushed to the old path meanwhile stays. Projects that were not begun stay as they are. Done twice, the second
 * changes nothing.
 * @throws TransshipError ROLLBACK_TOO_LATE where no project can be taken back, since they have moved; of a plan of one
 *   project, what the registry and GitLab refuse
 */
export async function rollbackTransfer(
  plan: TransferPlan,
  context: TransferContext,
  interruption: Interruption,
): Promise<RunResult> {
  const call = {signal: interruption.aborted};
  // A comparison that was ended early would leave no result: this is not taken apart into steps.
  const run: PlanRun = {context, interruption, call, reading: call, finished: new Set()};
  const found: Found[] = [];
  for (const move of plan.moves) found.push(await lookBack(move, plan, run));
  const errors = found.flatMap((one) => ('error' in one ? [one.error] : []));
  const back = found.filter((one) => 'way' in one).toReversed();
  if (errors.length > 0 && back.length === 0) throw errors[0];
  const sizes = back.map(({way}) => sizeOf([way]));
  context.report({type: 'run-started', plan: plan.id, ...sumOfSizes(sizes)});
  const ends = found.filter((one) => !('way' in one)).map(endOfOther);
  let isStopped = false;
  for (const [at, one] of back.entries()) {
    if (isStopped) {
      ends.push(notStarted(one));
      continue;
    }
    const {from, to} = one.planned.project;
    context.report({type: 'project-started', from, to, number: at + 1, of: back.length});
    const end = await endProject(await takeProjectBack(one, plan), run);
    ends.push(end);
    const {result} = end.ran;
    isStopped =
      interruption.stopping.aborted ||
      (result === 'failed' && context.settings.onFailure === 'stop');
  }
  await resumePolicies(plan, ends, run);
  const result = resultOf(plan, ends, {isRollback: true});
  await context.journal.end(result.result);
  reportEnd(result, context.report);
  return result;
}

/** A project that is taken back, one that was not begun, or one that cannot be taken back. */
type Found =
  | Restorable
  | {readonly planned: ProjectMove; readonly run: TransferRun}
  | {
      readonly planned: ProjectMove;
      readonly run: TransferRun | undefined;
      readonly error: unknown;
    };

/** A project that is at its old path, and was perhaps begun. */
interface Restorable {
  readonly planned: ProjectMove;
  /** With what was taken along. */
  readonly move: ProjectMove;
  readonly run: TransferRun;
  /** From the donor to the old path. */
  readonly way: CopySet;
  /** Tags that are gone from the old path, as `host/path:tag`. */
  readonly missing: readonly string[];
}

/** @throws what concerns more than this project: JOURNAL_WRITE_FAILED, and that the run was ended */
async function lookBack(planned: ProjectMove, plan: TransferPlan, run: PlanRun): Promise<Found> {
  const {context, call, interruption} = run;
  let own: TransferRun | undefined;
  try {
    const where = await locateProject(planned, context, call);
    own = projectRun(planned, plan, run, where);
    if (where !== 'before') return {planned, run: own, error: tooLate(planned)};
    // Nothing is deleted on the way back: what was taken along and is at the old path again is as it was.
    const lookout = {...own, context: {...context, adoptNewTags: true}};
    const move = await moveWithAdopted(planned, lookout);
    const {drift} = await readOldTags(move, own);
    const missing = drift.filter(({actual}) => actual === null).map(oldName);
    if (plan.moves.length > 1 && !(await wasBegun(move, own))) return {planned, run: own};
    return {planned, move, run: own, way: backward(move), missing};
  } catch (error) {
    if (isJournalFailure(error) || interruption.aborted.aborted) throw error;
    return {planned, run: own, error};
  }
}

/**
 * Whether an earlier run changed anything of a project that is at its old path. What it deleted is in the journal by now,
 * also where that was lost: `readOldTags` finds it at the donor.
 */
async function wasBegun(
  {project: {id}, steps}: ProjectMove,
  {context, call}: TransferRun,
): Promise<boolean> {
  const {unfinished} = context.journal;
  if (unfinished.paused.has(id) || deletedOf(unfinished, id).length > 0) return true;
  if (!steps.some(({kind}) => kind === 'pause')) return false;
  return (await context.gitlab.projects.get(id, call)).cleanupPolicy?.enabled !== true;
}

/** Of a project that is not taken back. */
function endOfOther(found: Found): ProjectEnd {
  const none = notStarted(found);
  return 'error' in found
    ? {...none, ran: {...none.ran, result: 'failed'}, error: errorData(found.error)}
    : {...none, ran: {...none.ran, result: 'done', steps: []}};
}

/** @throws TransshipError of a plan of one project, what could not be done */
async function takeProjectBack(one: Restorable, plan: TransferPlan): Promise<ProjectEnd> {
  const {move, run, way, missing} = one;
  await run.context.journal.append({type: 'rollback', project: move.project.id});
  try {
    const ran = await takeBack(move, way, run, (name) =>
      stepId(name, move.project, plan.moves.length),
    );
    const isBack = ran.result === 'done' || ran.result === 'drift';
    return {move, run, ran, ...(isBack ? {} : {missing})};
  } catch (error) {
    const {aborted} = run.interruption.aborted;
    if (plan.moves.length === 1 || isJournalFailure(error) || aborted) throw error;
    const {ran} = notStarted(one);
    return {move, run, ran: {...ran, result: 'failed'}, error: errorData(error), missing};
  }
}

async function takeBack(
  move: ProjectMove,
  copySet: CopySet,
  run: TransferRun,
  idOf: (name: string) => string,
): Promise<ProjectRan> {
  const tally = new Tally();
  const end = await putBack(move, copySet, run);
  const drift = end.end === 'drift' ? end.drift : [];
  if (end.end === 'failed' || end.end === 'interrupted' || end.end === 'not-started') {
    tally.add(idOf('put-back'), end);
    return tally.result(end.end === 'failed' ? 'failed' : 'interrupted');
  }
  tally.add(idOf('put-back'), drift.length > 0 ? {...end, end: 'done'} : end);
  await throwIfNotWhole(move, drift, run);
  tally.add(idOf('verify-old'), DONE);
  if (move.steps.some(({kind}) => kind === 'pause'))
    tally.add(idOf('resume'), await resumeStep(move, run));
  return drift.length > 0 ? tally.result('drift', drift) : tally.result('done');
}

async function putBack(move: ProjectMove, copySet: CopySet, run: TransferRun): Promise<StepEnd> {
  if (!(await isDonorThere(move, run))) return putBackByDigest(move, run);
  const {database} = await run.context.traits(run.call);
  return runCopySet(move, copySet, run, {isTagOrderKept: database});
}

async function throwIfNotWhole(
  move: ProjectMove,
  drift: readonly Drift[],
  {context, call}: TransferRun,
): Promise<void> {
  const {differences} = await compareAt(move, 'old', context.repositories, call);
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
function backward(move: ProjectMove): CopySet {
  const {copies, blobs} = copySetOf(move, 'push');
  const names = new Map(move.repositories.map(({from, to}) => [to, from]));
  const at = (to: string): string => names.get(to) ?? to;
  const isOfTransfer = new Set(move.repositories.map(({to}) => to));
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

function tooLate({project: {from, to}}: ProjectMove): TransshipError {
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
async function putBackByDigest(move: ProjectMove, run: TransferRun): Promise<StepEnd> {
  const {context, call} = run;
  const lost: OldTag[] = [];
  const drift: Drift[] = [];
  let back = 0;
  for (const old of wanted(move, run)) {
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
    const {message, hint, side} = donorAbsent(move, context);
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
function wanted({repositories, project}: ProjectMove, {context}: TransferRun): Iterable<OldTag> {
  const planned = repositories.flatMap(({from, tags}) =>
    tags.map(({name, digest}): OldTag => ({repository: from, tag: name, digest})),
  );
  const all: OldTag[] = [...planned, ...deletedOf(context.journal.unfinished, project.id)];
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
