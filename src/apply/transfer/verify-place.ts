import {pause} from '../../http/retry.ts';
import type {Call, Repositories} from '../../model/port.ts';
import {byDonor, type CopySet, type ProjectMove} from '../../model/transfer-plan.ts';
import {BY_ASKING, byRehashing, type Proof} from '../proof.ts';
import {
  type Compared,
  compareExpected,
  type Expected,
  expectation,
  type Root,
} from '../verify-plan.ts';
import {DONE, PRESENT, type StepEnd, type TransferRun} from './transfer-run.ts';
import type {BlobAction} from '../../model/plan.ts';

/**
 * The maximum time until images that GitLab moves itself are at the new path, in ms: its registry gives up after 5 s
 * (GitLab container registry: docs/rename-base-repository-request-flow.md).
 */
const NATIVE_LIMIT_MS = 15_000;

/**
 * Compares a place with the plan, digest by digest. Files of a donor directory are read and hashed again.
 * @param proof how to determine whether content exists. Default: as above
 * @throws TransshipError the refusals of the registry
 */
export async function compareAt(
  move: ProjectMove,
  place: TransferPlace,
  repositories: Repositories,
  call: Call,
  proof?: Proof,
): Promise<Compared> {
  const isFiles = place === 'donor' && move.donor.kind === 'directory';
  const usual = isFiles ? byRehashing() : BY_ASKING;
  const expected = expectedAt(move, place);
  return compareExpected(expected, repositories, call, proof ?? usual);
}

/** Before the move: proves that everything is at the donor, so that the old path may be emptied. */
export async function verifyDonor(move: ProjectMove, run: TransferRun): Promise<StepEnd> {
  const {context, reading, progress} = run;
  if (progress.where !== 'before') return PRESENT;
  const compared = await compareAt(move, 'donor', context.repositories, reading);
  if (compared.differences.length > 0) {
    return failed(
      compared,
      'at the donor',
      move.donor.kind === 'directory'
        ? `delete the directory ${move.donor.path} if all images are still at the old path, then apply again`
        : 'apply again; if this persists, the registry loses content that it accepted: an administrator should check its storage',
    );
  }
  progress.isDonorProved = true;
  return DONE;
}

/** After the move: proves that everything is at the new path. Images that GitLab moves itself may take a moment. */
export async function verifyTarget(move: ProjectMove, run: TransferRun): Promise<StepEnd> {
  const {context, reading} = run;
  const {everyMs} = context.patience;
  const limitMs = move.way === 'native' ? Math.min(NATIVE_LIMIT_MS, context.patience.limitMs) : 0;
  for (let waitedMs = 0; ; waitedMs += everyMs) {
    const compared = await compareAt(move, 'target', context.repositories, reading);
    if (compared.differences.length === 0) return DONE;
    if (waitedMs >= limitMs) return failed(compared, 'at the new path', targetHint(move));
    await pause(everyMs, reading.signal);
  }
}

function targetHint({way, project: {from, to}}: ProjectMove): string {
  return way === 'native'
    ? `if no image is at ${to}, GitLab moved the project without them: they are at the path of ${from} in the registry, where no project owns them. Roll back, which moves the project back to them, then plan with --staged`
    : 'apply again: missing images are pushed from the donor';
}

function failed({differences, checked}: Compared, where: string, hint: string): StepEnd {
  const [first] = differences;
  const of = checked.tags + checked.manifests + checked.blobs;
  const name = first?.tag === undefined ? `@${first?.digest ?? ''}` : `:${first.tag}`;
  const message = `${differences.length} of ${of} things are not as planned ${where}; the first is the ${first?.what ?? ''} ${first?.repository ?? ''}${name}`;
  return {
    end: 'failed',
    error: {code: 'VERIFY_FAILED', side: 'destination', retry: false, message, hint},
  };
}

/** The places of a transfer that can be compared with its plan. */
export type TransferPlace = 'old' | 'donor' | 'target';

/**
 * The expected content of a place: all tags of the plan, everything that was copied without a tag, and the content
 * below.
 */
function expectedAt(move: ProjectMove, place: TransferPlace): Expected {
  // Images that GitLab moves itself must be there as well, tagged or not.
  const {copies, blobs} = copySetOf(byDonor(move) ?? move, 'push');
  const names = new Map(
    move.repositories.map((repository) => [repository.to, nameAt(repository, place)]),
  );
  const at = (to: string): string => names.get(to) ?? to;
  const tagged = move.repositories.flatMap(({to, tags}) =>
    tags.map(({name, digest}): Root => ({at: at(to), tag: name, digest})),
  );
  const untagged = copies
    .filter(({tag}) => tag === undefined)
    .map(({to, digest}): Root => ({at: at(to), digest}));
  const moved = blobs.map((blob): BlobAction => ({...blob, to: at(blob.to)}));
  return expectation(move.manifests, moved)([...tagged, ...untagged]);
}

/** The planned copies in one direction; none if GitLab moves the images itself. */
export function copySetOf({steps}: ProjectMove, kind: 'pull' | 'push'): CopySet {
  const found = steps.flatMap((step) => (step.kind === kind ? [step] : []));
  return {
    copies: found.flatMap(({copies}) => copies),
    blobs: found.flatMap(({blobs}) => blobs),
  };
}

function nameAt(
  {from, donor, to}: ProjectMove['repositories'][number],
  place: TransferPlace,
): string {
  switch (place) {
    case 'old':
      return from;
    case 'donor':
      return donor;
    case 'target':
      return to;
  }
}
