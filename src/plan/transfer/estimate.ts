import type {CopyStep, StepEstimate} from '../../model/plan.ts';
import type {
  CopySet,
  GroupStep,
  PolicyState,
  ProjectMove,
  TransferStep,
} from '../../model/transfer-plan.ts';

/** `Omit` for each member of a union. */
export type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** A step before it is known what it costs. */
export type UncostedStep = Without<TransferStep, 'estimate'>;

/** The same of a group. */
export type UncostedGroupStep = Without<GroupStep, 'estimate'>;

/** What the steps of a project work on. */
type Subject = Pick<ProjectMove, 'donor' | 'repositories' | 'manifests'>;

/** Adds to each step what it costs if nothing fails and nothing was done before. Waits for GitLab are not in it. */
export function withStepEstimates(
  steps: readonly UncostedStep[],
  subject: Subject,
): readonly TransferStep[] {
  return steps.map((step) => ({...step, estimate: estimateOf(step, subject)}));
}

/** @param records of image paths that the group's step deletes, besides those of its projects */
export function withGroupEstimates(
  steps: readonly UncostedGroupStep[],
  records: number,
): readonly GroupStep[] {
  return steps.map((step) => ({
    ...step,
    // The list; of each record its tags, its deletion, and one look. Of the group: before, the call, and after.
    estimate: requests(step.kind === 'delete-records' ? 1 + 3 * records : 3),
  }));
}

function estimateOf(step: UncostedStep, {donor, repositories, manifests}: Subject): StepEstimate {
  const tags = repositories.reduce((sum, repository) => sum + repository.tags.length, 0);
  switch (step.kind) {
    case 'pull':
    case 'push':
      return step.copies.reduce(
        (sum, {estimate}) => ({
          bytes: sum.bytes + estimate.bytes,
          requests: sum.requests + estimate.requests,
        }),
        {bytes: 0, requests: 0},
      );
    case 'verify': {
      // Of a directory the files are read.
      if (step.at === 'donor' && donor.kind === 'directory') return requests(0);
      const blobs = new Set(manifests.flatMap((manifest) => manifest.blobs));
      return requests(tags + manifests.length + blobs.size);
    }
    // An upload that is begun and cancelled; each manifest is read and put.
    case 'probe':
      return requests(2 + 2 * step.manifests.length);
    // Lists before and after; each tag is read twice and deleted once.
    case 'delete-old':
      return requests(2 * repositories.length + 3 * tags);
    // The project before and after the call, and the call.
    case 'change-path':
      return requests(3);
    case 'freeze':
    case 'unfreeze':
      return requests(1 + step.patterns.length);
    case 'move-rules':
      return requests(1 + step.rules.length);
    // The project is read and written.
    case 'create-donor':
    case 'pause':
    case 'resume':
      return requests(2);
    // A run that verified the donor knows already.
    case 'retag':
      return requests(0);
    case 'remove-donor':
      return requests(donor.kind === 'directory' ? 0 : 2 * tags);
  }
}

function requests(count: number): StepEstimate {
  return {bytes: 0, requests: count};
}

/** What the steps copy, in their order. */
export function copySetsOf(steps: readonly TransferStep[]): readonly CopySet[] {
  return steps.flatMap((step) => (step.kind === 'pull' || step.kind === 'push' ? [step] : []));
}

/** Guesses, in seconds. */
const SECONDS = {
  /** One transfer or change of path, seen by everybody. */
  move: 1,
  /** One request, as GitLab and its registry answer in a network of their own or over the internet. */
  request: 0.025,
} as const;
/** Requests that are under way at once: deletions, and what is pushed. */
const AT_ONCE = {deletions: 16, pushes: 20} as const;
/** Bytes a second that a machine sends to its registry. */
const RATE = 25 * 1024 * 1024;

/** How long the calls take that move a project or a group, in seconds. */
export function moveSeconds(calls: number): number {
  return calls * SECONDS.move;
}

/**
 * How long the images are at neither path: from the first deleted tag to the last one pushed, in seconds, rounded up.
 * @param tags that are deleted and pushed again
 * @param calls that move the project
 * @param isOrdered the tags of each repository are written one after the other
 */
export function downtimeSeconds(
  push: CopySet,
  tags: number,
  calls: number,
  isOrdered: boolean,
): number {
  const {copies, blobs} = push;
  const bytes = blobs.reduce((sum, {action, size}) => sum + (action === 'copy' ? size : 0), 0);
  const manifests = copies.reduce((sum, step) => sum + step.manifests.length, 0);
  // Each tag is looked at and deleted; each blob mounted or sent; each manifest read and put, each tag looked at before.
  const deletions = (2 * tags) / AT_ONCE.deletions;
  const pushes = (blobs.length + 2 * manifests + copies.length) / AT_ONCE.pushes;
  const inTurn = isOrdered ? longestTurn(copies) : 0;
  return Math.ceil(
    (deletions + Math.max(pushes, inTurn)) * SECONDS.request + moveSeconds(calls) + bytes / RATE,
  );
}

/** The most copies that one repository gets. */
function longestTurn(copies: readonly CopyStep[]): number {
  const counts = Map.groupBy(copies, ({to}) => to).values();
  return Math.max(0, ...[...counts].map((own) => own.length));
}

/**
 * Whether the tags of a repository have to be written in the order of their dates: a registry with metadata database dates
 * a tag by its push, and a cleanup policy that keeps the newest tags, or deletes those of an age, goes by the date.
 */
export function goesByDates(policy: PolicyState | undefined): boolean {
  return (policy?.['keep_n'] ?? policy?.['older_than'] ?? null) !== null;
}
