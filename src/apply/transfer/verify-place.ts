import {pause} from '../../http/retry.ts';
import type {VerifyResult} from '../../model/outcome.ts';
import type {Call} from '../../model/port.ts';
import type {TransferPlan} from '../../model/transfer-plan.ts';
import type {Repositories} from '../apply-context.ts';
import {BY_ASKING, compareExpected} from '../compare-expected.ts';
import {expectedAt, type TransferPlace} from './expected-at.ts';
import {byRehashing} from '../rehash.ts';
import {DONE, PRESENT, type StepEnd} from './step-end.ts';
import type {TransferRun} from './transfer-context.ts';

/** The most that images which GitLab moves by itself may take to be at the new path, in ms. */
const NATIVE_LIMIT_MS = 60_000;

/**
 * Compares a place with the plan, digest by digest. The files of a directory donor are read and hashed again.
 * @throws TransshipError the refusals of the registry
 */
export async function compareAt(
  plan: TransferPlan,
  place: TransferPlace,
  repositories: Repositories,
  call: Call,
): Promise<VerifyResult> {
  const isFiles = place === 'donor' && plan.donor.kind === 'directory';
  const proof = isFiles ? byRehashing() : BY_ASKING;
  const expected = expectedAt(plan, place);
  return {plan: plan.id, ...(await compareExpected(expected, repositories, call, proof))};
}

/** Before the move: proves that all is at the donor, so that the old path may be emptied. */
export async function verifyDonor(plan: TransferPlan, run: TransferRun): Promise<StepEnd> {
  const {context, reading, progress} = run;
  if (progress.where !== 'before') return PRESENT;
  const compared = await compareAt(plan, 'donor', context.repositories, reading);
  if (compared.differences.length > 0) {
    return failed(
      compared,
      'at the donor',
      plan.donor.kind === 'directory'
        ? `delete the folder ${plan.donor.path} if all images are still at the old path, then apply again`
        : 'apply again; if it stays, the registry loses what it takes: its administrator should look at its storage',
    );
  }
  progress.isDonorProved = true;
  return DONE;
}

/** After the move: all is at the new path. What GitLab moves by itself may take a moment. */
export async function verifyTarget(plan: TransferPlan, run: TransferRun): Promise<StepEnd> {
  const {context, reading} = run;
  const {everyMs} = context.patience;
  const limitMs = plan.way === 'native' ? Math.min(NATIVE_LIMIT_MS, context.patience.limitMs) : 0;
  for (let waitedMs = 0; ; waitedMs += everyMs) {
    const compared = await compareAt(plan, 'target', context.repositories, reading);
    if (compared.differences.length === 0) return DONE;
    if (waitedMs >= limitMs) return failed(compared, 'at the new path', targetHint(plan));
    await pause(everyMs, reading.signal);
  }
}

function targetHint({way, project: {from, to}}: TransferPlan): string {
  return way === 'native'
    ? `GitLab moved the project and not its images: they are at the path of ${from} in the registry, where no project owns them. Move the project back from ${to}, then plan with --staged`
    : 'apply again: what is missing is pushed from the donor';
}

function failed({differences, checked}: VerifyResult, where: string, hint: string): StepEnd {
  const [first] = differences;
  const of = checked.tags + checked.manifests + checked.blobs;
  const name = first?.tag === undefined ? `@${first?.digest ?? ''}` : `:${first.tag}`;
  const message = `${differences.length} of ${of} things are not as planned ${where}; the first is the ${first?.what ?? ''} ${first?.repository ?? ''}${name}`;
  return {end: 'failed', error: {code: 'VERIFY_FAILED', side: 'destination', message, hint}};
}
