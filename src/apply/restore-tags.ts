import {isInterrupted, TransshipError} from '../model/error.ts';
import {errorData} from '../model/event.ts';
import type {Digest} from '../model/digest.ts';
import {childManifests, type Manifest} from '../model/manifest.ts';
import type {Drift, RunResult, StepResult} from '../model/outcome.ts';
import {nameOf} from '../model/place.ts';
import {type CopyPlan, type DeleteStep, deletionsOf} from '../model/plan.ts';
import type {Call, Repositories, RepositoryWriter} from '../model/port.ts';
import type {Report} from '../model/event.ts';
import {mapAtOnce} from '../observe/at-once.ts';
import type {Interruption} from './apply-context.ts';
import {reportEnd} from './apply-plan.ts';
import {inOrder} from './find-drift.ts';
import {lookUp, notAsPlanned, sideOf} from './repository-deletions.ts';
import type {KeptManifests} from './kept-manifests.ts';

const REPOSITORIES_AT_ONCE = 4;
/** Tags of a repository that are put back at once. Few: each is a write. */
const TAGS_AT_ONCE = 8;

/** What putting tags back needs besides the plan that deleted them. */
export interface RestoreContext {
  readonly repositories: Repositories;
  readonly kept: KeptManifests;
  readonly report: Report;
}

/**
 * Puts back what a plan deleted: the manifests from an undo file, whose content the registry still has until its garbage
 * collection. Images come before what belongs to them. A tag that somebody pushed meanwhile stays. Done twice, the second
 * changes nothing.
 * @returns the result of each deletion: `done` is put back, `present` is there
 */
export async function restoreDeleted(
  plan: CopyPlan,
  context: RestoreContext,
  interruption: Interruption,
): Promise<RunResult> {
  const deletions = deletionsOf(plan);
  context.report({
    type: 'run-started',
    plan: plan.id,
    steps: deletions.length,
    blobs: 0,
    bytes: 0,
  });
  const drift: Drift[] = [];
  const results = new Map<string, StepResult>();
  const restore = async (step: DeleteStep): Promise<void> => {
    const result = await resultOf(step, context, interruption, drift);
    const {id, outcome, error} = result;
    results.set(id, result);
    context.report({type: 'step-ended', step: id, outcome, ...(error ? {error} : {})});
  };
  const byRepository = Map.groupBy(deletions, ({repository}) => repository);
  await mapAtOnce(byRepository.values(), REPOSITORIES_AT_ONCE, async (own) => {
    // What needed the deletion of another one to come first belongs to that.
    const {images = [], attached = []} = Object.groupBy(own, ({needs}) =>
      needs.length === 0 ? 'images' : 'attached',
    );
    await mapAtOnce(images, TAGS_AT_ONCE, restore);
    for (const step of attached) await restore(step);
  });
  const steps = deletions.flatMap(({id}) => results.get(id) ?? []);
  const result: RunResult = {
    plan: plan.id,
    result: endOf(steps, drift),
    steps,
    bytes: {sent: 0},
    blobs: {copied: 0, mounted: 0, present: 0},
    ...(drift.length === 0 ? {} : {drift: inOrder(drift)}),
  };
  reportEnd(result, context.report);
  return result;
}

function endOf(steps: readonly StepResult[], drift: readonly Drift[]): RunResult['result'] {
  if (steps.some(({outcome}) => outcome === 'not-started')) return 'interrupted';
  if (drift.length > 0) return 'drift';
  return steps.some(({outcome}) => outcome === 'failed') ? 'failed' : 'done';
}

async function resultOf(
  step: DeleteStep,
  {repositories, kept}: RestoreContext,
  {stopping, aborted}: Interruption,
  drift: Drift[],
): Promise<StepResult> {
  const {id, repository: name, tag, digest} = step;
  if (stopping.aborted || aborted.aborted) return {id, outcome: 'not-started'};
  try {
    const repository = repositories.writable(name, sideOf(step));
    const call = {signal: aborted, stopping};
    const actual = await lookUp(repository, step, call);
    if (actual === digest) return {id, outcome: 'present'};
    if (actual !== undefined && tag !== undefined) {
      const one = {side: sideOf(step), repository: name, tag, planned: digest, actual};
      drift.push(one);
      return {id, outcome: 'failed', error: errorData(notAsPlanned(one, 'put back'))};
    }
    await putBack(step, repository, kept, {signal: aborted});
    return {id, outcome: 'done'};
  } catch (error) {
    if (aborted.aborted || isInterrupted(error)) return {id, outcome: 'not-started'};
    return {id, outcome: 'failed', error: errorData(error)};
  }
}

/** @throws TransshipError ROLLBACK_TOO_LATE, MANIFEST_NOT_FOUND where the file does not have it; refusals of the registry */
async function putBack(
  step: DeleteStep,
  repository: RepositoryWriter,
  kept: KeptManifests,
  call: Call,
): Promise<void> {
  const name = nameOf(step.repository, step.tag, step.digest);
  const manifest = kept.wasDeleted(step) ? await kept.manifest(step.digest) : undefined;
  if (manifest === undefined) throw notKept(name);
  try {
    await putBelow(manifest, repository, kept, call);
    await repository.putManifest(step.tag ?? step.digest, manifest, call);
  } catch (error) {
    const isGone = error instanceof TransshipError && error.code === 'MANIFEST_PARTS_MISSING';
    throw isGone ? collected(name, error) : error;
  }
  if ((await lookUp(repository, step, call)) === step.digest) return;
  throw new TransshipError('VERIFY_FAILED', `the registry accepted ${name} and does not show it`, {
    side: 'destination',
    hint: 'run the command again; if this repeats, ask the administrator of the registry',
  });
}

/** The manifests that an index lists; a registry may have deleted them with it. */
async function putBelow(
  {view}: Manifest,
  repository: RepositoryWriter,
  kept: KeptManifests,
  call: Call,
): Promise<void> {
  const children = new Set<Digest>(childManifests(view).map(({digest}) => digest));
  await mapAtOnce(children, TAGS_AT_ONCE, async (child) => {
    if ((await repository.head(child, call)) !== undefined) return;
    const manifest = await kept.manifest(child);
    // It was missing when its index was deleted.
    if (manifest === undefined) return;
    await putBelow(manifest, repository, kept, call);
    await repository.putManifest(child, manifest, call);
  });
}

function notKept(name: string): TransshipError {
  return new TransshipError(
    'MANIFEST_NOT_FOUND',
    `${name} is gone, and the undo file does not have it`,
    {
      side: 'local',
      hint: 'somebody else deleted it, or "transship apply" ran with --no-undo; push the image again',
    },
  );
}

function collected(name: string, cause: TransshipError): TransshipError {
  return new TransshipError(
    'ROLLBACK_TOO_LATE',
    `${name} cannot be put back: the registry no longer has all of its content`,
    {
      side: 'destination',
      hint: 'its garbage collection has run (GitLab with metadata database: 24 hours after the deletion); push the image again',
      cause,
    },
  );
}
