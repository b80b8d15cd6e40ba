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

/** A step without its cost. */
export type UncostedStep = Without<TransferStep, 'estimate'>;

/** A step of a group without its cost. */
export type UncostedGroupStep = Without<GroupStep, 'estimate'>;

/** The content that the steps of a project work on. */
type Subject = Pick<ProjectMove, 'donor' | 'repositories' | 'manifests'>;

/** Adds to each step its cost in a run without failures and without earlier work. Waits for GitLab are not included. */
export function withStepEstimates(
  steps: readonly UncostedStep[],
  subject: Subject,
): readonly TransferStep[] {
  return steps.map((step) => ({...step, estimate: estimateOf(step, subject)}));
}

/** @param records the number of image path records that the group's step deletes, besides those of its projects */
export function withGroupEstimates(
  steps: readonly UncostedGroupStep[],
  records: number,
): readonly GroupStep[] {
  return steps.map((step) => ({
    ...step,
    // A list; for each record its tags, its deletion and one check. For the group: a read before, the call, a read
    // after.
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
      // Files of a directory are read without requests.
      if (step.at === 'donor' && donor.kind === 'directory') return requests(0);
      const blobs = new Set(manifests.flatMap((manifest) => manifest.blobs));
      return requests(tags + manifests.length + blobs.size);
    }
    // An upload is started and cancelled; each manifest is read and pushed.
    case 'probe':
      return requests(2 + 2 * step.manifests.length);
    // Lists before and after; each tag is read twice and deleted once.
    case 'delete-old':
      return requests(2 * repositories.length + 3 * tags);
    // The call, and a read of the project before and after it.
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
    // The run has already verified the donor.
    case 'retag':
      return requests(0);
    case 'remove-donor':
      return requests(donor.kind === 'directory' ? 0 : 2 * tags);
  }
}

function requests(count: number): StepEstimate {
  return {bytes: 0, requests: count};
}

/** The images and blobs that the steps copy, in step order. */
export function copySetsOf(steps: readonly TransferStep[]): readonly CopySet[] {
  return steps.flatMap((step) => (step.kind === 'pull' || step.kind === 'push' ? [step] : []));
}

/** Estimates, in seconds. */
const SECONDS = {
  /** A transfer or a change of path, until all services see it. */
  move: 1,
  /** A request to GitLab or its registry, in the same network or over the internet. */
  request: 0.025,
} as const;
/** Concurrent requests: for deletions, and for pushes. */
const AT_ONCE = {deletions: 16, pushes: 20} as const;
/** Upload rate from a machine to its registry, in bytes per second. */
const RATE = 25 * 1024 * 1024;

/** The duration of the calls that move a project or a group, in seconds. */
export function moveSeconds(calls: number): number {
  return calls * SECONDS.move;
}

/**
 * The time during which the images are at neither path, from the first deleted tag to the last pushed one, in seconds,
 * rounded up.
 * @param tags the number of tags that are deleted and pushed again
 * @param calls the number of calls that move the project
 * @param isOrdered whether the tags of each repository are pushed one after the other
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
  // Each tag is read and deleted; each blob is mounted or sent; each manifest is read and pushed, and each tag read
  // before.
  const deletions = (2 * tags) / AT_ONCE.deletions;
  const pushes = (blobs.length + 2 * manifests + copies.length) / AT_ONCE.pushes;
  const inTurn = isOrdered ? longestTurn(copies) : 0;
  return Math.ceil(
    (deletions + Math.max(pushes, inTurn)) * SECONDS.request + moveSeconds(calls) + bytes / RATE,
  );
}

/** The largest number of copies to one repository. */
function longestTurn(copies: readonly CopyStep[]): number {
  const counts = Map.groupBy(copies, ({to}) => to).values();
  return Math.max(0, ...[...counts].map((own) => own.length));
}

/**
 * Whether the tags of a repository have to be pushed in the order of their dates. A registry with a metadata database
 * dates a tag by its push, and a cleanup policy that keeps the newest tags, or deletes old ones, uses these dates.
 */
export function goesByDates(policy: PolicyState | undefined): boolean {
  return (policy?.['keep_n'] ?? policy?.['older_than'] ?? null) !== null;
}
