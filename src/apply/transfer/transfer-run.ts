import type {GitLab} from '../../gitlab/gitlab.ts';
import type {Patience} from '../../gitlab/confirm.ts';
import {pause} from '../../http/retry.ts';
import {interrupted} from '../../model/error.ts';
import type {Drift, RunEnd, RunResult, StepResult, TransferStanding} from '../../model/outcome.ts';
import type {Call, TagLimits} from '../../model/port.ts';
import type {CopyContext, Interruption} from '../apply-context.ts';
import type {ErrorData} from '../../model/event.ts';
import type {BlobCounts} from '../blob-relays.ts';
import {
  type CopySet,
  type Donor,
  type GroupMove,
  groupOf,
  type ProjectMove,
  type TransferPlan,
  type TransferRepository,
} from '../../model/transfer-plan.ts';

/** The environment of a transfer, besides the plan. */
export interface TransferContext extends CopyContext {
  readonly gitlab: Pick<GitLab, 'projects' | 'groups' | 'repositories' | 'protection' | 'account'>;
  /** The features of the instance's registry. */
  readonly traits: (call: Call) => Promise<{
    /** Whether it deletes a single tag without others of the same digest. */
    readonly deletesTags: boolean;
    /** Whether it dates tags by their push. */
    readonly database: boolean;
  }>;
  /**
   * Asks, before any change, whether the old path may be emptied. Undefined: nobody can be asked, and nobody agreed in
   * advance.
   */
  readonly mayDelete: ((question: DeletionQuestion) => Promise<boolean>) | undefined;
  /** Tags that were created or changed after planning are included, instead of stopping the run. */
  readonly adoptNewTags: boolean;
  /** The donor is removed after all images were proved to be at the new path. */
  readonly removesDonor: boolean;
  /** The path on this machine of a donor directory, or of a layout in it. */
  readonly directoryOf: (path: string) => string;
  /** Restrictions on the tags of a repository in the registry's token; undefined: the token names none. */
  readonly tagLimits: (repository: string, call: Call) => Promise<TagLimits | undefined>;
  /** How long to wait for background work of GitLab. */
  readonly patience: Patience;
  /** The same for records of image paths, of which GitLab deletes only a few at a time. */
  readonly deletionPatience: Patience;
}

export interface DeletionQuestion {
  readonly tags: number;
  readonly repositories: number;
  /** The full paths of the projects with these tags. */
  readonly projects: readonly string[];
  /** Where the images are when the tags are deleted. */
  readonly donors: readonly string[];
}

/** What the runs of all projects in a plan share. */
export interface PlanRun {
  readonly context: TransferContext;
  readonly interruption: Interruption;
  /** Aborted at the second signal. */
  readonly call: Call;
  /** For comparisons, which have nothing to finish: aborted at the first signal. */
  readonly reading: Call;
  /** The IDs of projects that this run has finished. */
  readonly finished: ReadonlySet<number>;
}

/**
 * Waits. A signal ends the wait immediately, so use it only when nothing is under way. @throws TransshipError
 * INTERRUPTED
 */
export async function waitUnlessStopped(
  ms: number,
  {interruption}: Pick<PlanRun, 'interruption'>,
): Promise<void> {
  const signal = AbortSignal.any([interruption.stopping, interruption.aborted]);
  try {
    await pause(ms, signal);
  } catch (error) {
    if (signal.aborted) throw interrupted();
    throw error;
  }
}

/** The run of a project, for all of its steps. */
export interface TransferRun extends PlanRun {
  /** The IDs of the projects in the plan with the same donor, including this one. */
  readonly atDonor: ReadonlySet<number>;
  /** Their planned tags at the old paths, as `host/path:tag`. */
  readonly tagsAtDonor: ReadonlySet<string>;
  /** The group that the project moves with; undefined: it moves on its own. */
  readonly group: GroupMove | undefined;
  /** The name of a repository in the journal: its planned name at the old path, in both directions. */
  readonly journalName: (repository: string) => string;
  readonly progress: TransferProgress;
}

/** The location of the project: at its old path, between two changes, or at its new path. */
export type ProjectLocation = TransferStanding['project'];

/** Translates locations of a move to those of the reverse move, and back. */
export const OTHER_WAY_ROUND = {
  before: 'after',
  between: 'between',
  after: 'before',
} as const satisfies Record<ProjectLocation, ProjectLocation>;

/** What this run has observed and proved. Steps write it for the steps after them. */
export interface TransferProgress {
  where: ProjectLocation;
  /** All manifests and blobs were found at the donor in this run. */
  isDonorProved: boolean;
  /** The images were pulled in this run; tags that were added later may be missing. */
  isPulled: boolean;
  /** GitLab moved the project without its images, which are at neither path. */
  readonly isLeftBehind: boolean;
}

/** The initial run of a project. */
export function projectRun(
  move: ProjectMove,
  {moves, groups}: Pick<TransferPlan, 'moves' | 'groups'>,
  run: PlanRun,
  where: ProjectLocation,
): TransferRun {
  const {project, donor} = move;
  const isSame = (other: Donor): boolean =>
    other.kind === donor.kind && other.path.toLowerCase() === donor.path.toLowerCase();
  const others = moves.filter((other) => isSame(other.donor));
  const tags = others.flatMap(({repositories}) => repositories.flatMap(plannedNames));
  return {
    ...run,
    atDonor: new Set([project.id, ...others.map((other) => other.project.id)]),
    tagsAtDonor: new Set(tags),
    group: groupOf(move, groups),
    journalName: (repository) => repository,
    progress: {where, isDonorProved: false, isPulled: false, isLeftBehind: false},
  };
}

/** The planned tags of a repository at its old path, as `host/path:tag`. */
export function plannedNames({from, tags}: TransferRepository): readonly string[] {
  return tags.map(({name}) => `${from}:${name}`);
}

/** The end of a step of a transfer. */
export type StepEnd =
  /** `present`: nothing was left to do. */
  | ({readonly end: 'done' | 'present'} & StepImages)
  | ({readonly end: 'failed'; readonly error: ErrorData} & StepImages)
  /** GitLab did not move the images itself, and the plan has a fallback. */
  | ({readonly end: 'refused'; readonly error: ErrorData} & StepImages)
  | ({readonly end: 'drift'; readonly drift: readonly Drift[]} & StepImages)
  /** A signal, or a no to a question, stopped the step or prevented it. Applying again resumes. */
  | ({readonly end: 'interrupted' | 'not-started'} & StepImages);

interface StepImages {
  /** The images of the step. */
  readonly images?: readonly StepResult[];
  readonly counts?: BlobCounts;
}

export const DONE: StepEnd = {end: 'done'};
export const PRESENT: StepEnd = {end: 'present'};

/** The results of the steps of a project. */
export type ProjectRan = Omit<RunResult, 'plan' | 'projects'>;

/** Collects the results of the steps of a project, each followed by its images. */
export class Tally {
  /** By ID; if a step is repeated, its last result is used. */
  readonly #steps = new Map<string, StepResult>();
  readonly #blobs = {copied: 0, mounted: 0, present: 0};
  #sent = 0;

  add(id: string, end: StepEnd): void {
    for (const result of [stepResult(id, end), ...(end.images ?? [])])
      this.#steps.set(result.id, result);
    if (end.counts === undefined) return;
    this.#blobs.copied += end.counts.copied;
    this.#blobs.mounted += end.counts.mounted;
    this.#blobs.present += end.counts.present;
    this.#sent += end.counts.sent;
  }

  result(result: RunEnd, drift?: readonly Drift[]): ProjectRan {
    return {
      result,
      steps: [...this.#steps.values()],
      bytes: {sent: this.#sent},
      blobs: this.#blobs,
      ...(drift === undefined ? {} : {drift}),
    };
  }
}

/** The result of a step for results and events. */
export function stepResult(id: string, end: StepEnd): StepResult {
  switch (end.end) {
    case 'done':
    case 'present':
    case 'interrupted':
    case 'not-started':
      return {id, outcome: end.end};
    // The result of the fallback is reported instead.
    case 'refused':
      return {id, outcome: 'not-started'};
    case 'failed':
      return {id, outcome: 'failed', error: end.error};
    case 'drift':
      return {id, outcome: 'failed', error: driftError(end.drift)};
  }
}

function driftError([first, ...others]: readonly Drift[]): ErrorData {
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  return {
    code: 'DRIFT',
    side: first?.side ?? 'source',
    retry: false,
    message: `${first?.repository}:${first?.tag}${more} changed since the plan was made`,
    hint: 'no changed tag was deleted; the tags that are gone from the old path are at the donor',
  };
}

/** The size of a run with these copies, as it is announced: its images, and the blobs that have to be sent. */
export interface RunSize {
  readonly steps: number;
  readonly blobs: number;
  readonly bytes: number;
}

/** Adds up the copies in one direction or in both. */
export function sizeOf(sets: readonly CopySet[]): RunSize {
  const copied = sets.flatMap(({blobs}) => blobs.filter(({action}) => action === 'copy'));
  return {
    steps: sets.reduce((sum, {copies}) => sum + copies.length, 0),
    blobs: copied.length,
    bytes: copied.reduce((sum, {size}) => sum + size, 0),
  };
}

export function sumOfSizes(sizes: readonly RunSize[]): RunSize {
  return {
    steps: sizes.reduce((sum, {steps}) => sum + steps, 0),
    blobs: sizes.reduce((sum, {blobs}) => sum + blobs, 0),
    bytes: sizes.reduce((sum, {bytes}) => sum + bytes, 0),
  };
}
