import {TransshipError} from '../../model/error.ts';
import {errorData} from '../../model/event.ts';
import type {Manifest} from '../../model/manifest.ts';
import type {Drift} from '../../model/outcome.ts';
import type {RepositoryWriter} from '../../model/port.ts';
import {
  type CopySet,
  type ProjectMove,
  stepId,
  type TransferPlan,
} from '../../model/transfer-plan.ts';
import {isJournalFailure} from '../journal-file.ts';
import {deletedOf} from '../unfinished.ts';
import type {OldTag} from './delete-old.ts';
import {donorAbsent, isDonorThere} from './donor.ts';
import {notStarted, type ProjectEnd} from './plan-result.ts';
import {runResumeStep} from './policy.ts';
import {unfreeze} from './rules.ts';
import {isOrdered, runCopySet} from './pull-retag-push.ts';
import {
  DONE,
  PRESENT,
  type ProjectRan,
  type StepEnd,
  Tally,
  type TransferRun,
} from './transfer-run.ts';
import {compareAt} from './verify-place.ts';

/** A project at its old path that may have been started. */
export interface Restorable {
  readonly planned: ProjectMove;
  /** The move with the tags that were included. */
  readonly move: ProjectMove;
  readonly run: TransferRun;
  /** The copies from the donor to the old path. */
  readonly way: CopySet;
  /** Tags that are gone from the old path, as `host/path:tag`. */
  readonly missing: readonly string[];
}

/** Rolls back a project at its old path. @throws TransshipError the failure, if the plan has one project */
export async function takeProjectBack(one: Restorable, plan: TransferPlan): Promise<ProjectEnd> {
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
  if (move.way === 'native') {
    // This is all or nothing: it begins only when GitLab moves the project.
    tally.add(idOf('put-back'), PRESENT);
    return tally.result('done');
  }
  const end = await putBack(move, copySet, run);
  const drift = end.end === 'drift' ? end.drift : [];
  if (end.end === 'failed' || end.end === 'interrupted' || end.end === 'not-started') {
    tally.add(idOf('put-back'), end);
    return tally.result(end.end === 'failed' ? 'failed' : 'interrupted');
  }
  tally.add(idOf('put-back'), drift.length > 0 ? {...end, end: 'done'} : end);
  await throwIfNotWhole(move, drift, run);
  tally.add(idOf('verify-old'), DONE);
  if (move.steps.some(({kind}) => kind === 'freeze'))
    tally.add(idOf('unfreeze'), await unfreeze(move, run));
  if (move.steps.some(({kind}) => kind === 'pause'))
    tally.add(idOf('resume'), await runResumeStep(move, run));
  return drift.length > 0 ? tally.result('drift', drift) : tally.result('done');
}

async function putBack(move: ProjectMove, copySet: CopySet, run: TransferRun): Promise<StepEnd> {
  if (!(await isDonorThere(move, run))) return putBackByDigest(move, run);
  return runCopySet(move, copySet, run, {isTagOrderKept: await isOrdered(move, run)});
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
    {side: 'destination', hint: 'roll back again: missing images are pushed from the donor'},
  );
}

/**
 * Restores tags at the old path without the donor. A deleted tag leaves its manifest, which GitLab's registry keeps
 * until garbage collection; with a database, for at least a day (GitLab container registry:
 * docs/spec/gitlab/online-garbage-collection.md, `review_after`). Pushing the same bytes with the tag is sufficient.
 * @throws TransshipError DONOR_ABSENT after everything that the registry still has was restored, if that is not all
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
      {side, hint: `${back} tags were restored. ${hint}`},
    );
  }
  if (drift.length > 0) return {end: 'drift', drift};
  return back > 0 ? DONE : PRESENT;
}

/**
 * The planned tags, and the tags that were included and deleted since; the latest entry for a tag is used. The journal
 * cannot name other repositories.
 */
function wanted({repositories, project}: ProjectMove, {context}: TransferRun): Iterable<OldTag> {
  const planned = repositories.flatMap(({from, tags}) =>
    tags.map(({name, digest}): OldTag => ({repository: from, tag: name, digest})),
  );
  const own = new Set(repositories.map(({from}) => from));
  const deleted = deletedOf(context.journal.unfinished, project.id);
  const all: OldTag[] = [...planned, ...deleted.filter(({repository}) => own.has(repository))];
  return new Map(all.map((old) => [`${old.repository}:${old.tag}`, old])).values();
}

/** False: the registry has lost part of the image. */
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
