import {TransshipError} from '../../model/error.ts';
import type {Drift, RunResult} from '../../model/outcome.ts';
import type {BlobAction, CopyStep} from '../../model/plan.ts';
import type {Carriage, TransferPlan} from '../../model/transfer-plan.ts';
import type {Interruption} from '../apply-context.ts';
import {reportEnd} from '../apply-plan.ts';
import {planWithAdopted} from './adopt-tags.ts';
import {isDonorThere} from './donor.ts';
import {carriageOf} from './expected-at.ts';
import {oldName, readOldTags} from './old-tags.ts';
import {resumePolicies, resumeStep} from './policy.ts';
import {carry} from './pull-push.ts';
import {putBackByDigest} from './put-back-by-digest.ts';
import {sizeOf} from './run-size.ts';
import {DONE, type StepEnd} from './step-end.ts';
import {doneOf, standingOf} from './standing.ts';
import {Tally} from './tally.ts';
import {newProgress, type TransferContext, type TransferRun} from './transfer-context.ts';
import {compareAt} from './verify-place.ts';
import {whereabouts} from './whereabouts.ts';

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
  const where = await whereabouts(planned, context, call);
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
  carriage: Carriage,
  run: TransferRun,
): Promise<RunResult> {
  const tally = new Tally(plan.id);
  const end = await putBack(plan, carriage, run);
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

async function putBack(plan: TransferPlan, carriage: Carriage, run: TransferRun): Promise<StepEnd> {
  if (!(await isDonorThere(plan, run))) return putBackByDigest(plan, run);
  const {database} = await run.context.traits(run.call);
  return carry(plan, carriage, run, {isTagOrderKept: database});
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
function backward(plan: TransferPlan): Carriage {
  const {copies, blobs} = carriageOf(plan, 'push');
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
