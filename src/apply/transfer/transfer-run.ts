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

/** What carrying out a transfer needs besides the plan. */
export interface TransferContext extends CopyContext {
  readonly gitlab: Pick<GitLab, 'projects' | 'groups' | 'repositories' | 'protection' | 'account'>;
  /** What the instance's registry tells of itself. */
  readonly traits: (call: Call) => Promise<{
    /** Whether it deletes a tag alone, without the others of its digest. */
    readonly deletesTags: boolean;
    /** Whether it dates tags by their push. */
    readonly database: boolean;
  }>;
  /**
   * Asks whether the old path may be emptied, before anything is done. Undefined: there is nobody to ask, and nobody
   * has agreed beforehand.
   */
  readonly mayDelete: ((question: DeletionQuestion) => Promise<boolean>) | undefined;
  /** Tags that came or moved after planning are taken along, instead of stopping the run. */
  readonly adoptNewTags: boolean;
  /** The donor goes once all images are proved to be at the new path. */
  readonly removesDonor: boolean;
  /** Where a donor directory, or a layout in it, is on this machine. */
  readonly directoryOf: (path: string) => string;
  /** What the registry's own token says about the tags of a repository; undefined: it does not say. */
  readonly tagLimits: (repository: string, call: Call) => Promise<TagLimits | undefined>;
  /** How long to wait for what GitLab does in the background. */
  readonly patience: Patience;
  /** The same for records of image paths, which GitLab deletes a few at a time. */
  readonly deletionPatience: Patience;
}

export interface DeletionQuestion {
  readonly tags: number;
  readonly repositories: number;
  /** Full paths of the projects that have these tags. */
  readonly projects: readonly string[];
  /** Where the images are going to be by then. */
  readonly donors: readonly string[];
}

/** What the runs of all projects of a plan have in common. */
export interface PlanRun {
  readonly context: TransferContext;
  readonly interruption: Interruption;
  /** Ends at the second signal. */
  readonly call: Call;
  /** For what only compares, and has nothing to finish: ends at the first. */
  readonly reading: Call;
  /** IDs of the projects that this run brought to their end. */
  readonly finished: ReadonlySet<number>;
}

/** Waits; a signal ends that at once, so only for what has nothing under way. @throws TransshipError INTERRUPTED */
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

/** One run of a project: what all its steps work with. */
export interface TransferRun extends PlanRun {
  /** IDs of the projects of the plan whose images wait at the same donor, this one among them. */
  readonly atDonor: ReadonlySet<number>;
  /** Their planned tags at the old paths, as `host/path:tag`. */
  readonly tagsAtDonor: ReadonlySet<string>;
  /** The group that the project moves with; undefined: it moves by itself. */
  readonly group: GroupMove | undefined;
  /** What the journal calls a repository of the project: what the plan calls it at the old path, whichever way it moves. */
  readonly journalName: (repository: string) => string;
  readonly progress: TransferProgress;
}

/** Where the project is: at its old path, between two changes, at its new one. */
export type ProjectLocation = TransferStanding['project'];

/** Where a move is, as the move back has it, and the other way round. */
export const OTHER_WAY_ROUND = {
  before: 'after',
  between: 'between',
  after: 'before',
} as const satisfies Record<ProjectLocation, ProjectLocation>;

/** What this run has seen and proved. The steps write it, the steps after them go by it. */
export interface TransferProgress {
  where: ProjectLocation;
  /** Every manifest and blob was found at the donor in this run. */
  isDonorProved: boolean;
  /** The images were pulled in this run, those at least that the plan had then. */
  isPulled: boolean;
  /** GitLab moved the project without its images: there are none where it is. */
  readonly isLeftBehind: boolean;
}

/** The run of one of the projects of a plan, at its beginning. */
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

/** How a step of a transfer ended. */
export type StepEnd =
  /** `present`: there was nothing left to do. */
  | ({readonly end: 'done' | 'present'} & StepImages)
  | ({readonly end: 'failed'; readonly error: ErrorData} & StepImages)
  /** GitLab did not move the images itself, and the plan has another way. */
  | ({readonly end: 'refused'; readonly error: ErrorData} & StepImages)
  | ({readonly end: 'drift'; readonly drift: readonly Drift[]} & StepImages)
  /** A signal came, after it had begun or before; or a no to a question. Applying again goes on. */
  | ({readonly end: 'interrupted' | 'not-started'} & StepImages);

interface StepImages {
  /** The images of the step. */
  readonly images?: readonly StepResult[];
  readonly counts?: BlobCounts;
}

export const DONE: StepEnd = {end: 'done'};
export const PRESENT: StepEnd = {end: 'present'};

/** What came of the steps of a project. */
export type ProjectRan = Omit<RunResult, 'plan' | 'projects'>;

/** Gathers what came of the steps of a project: each step, after it its images. */
export class Tally {
  /** By id; a step that was done once more counts as it ended last. */
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

/** What a step came to, as results and events tell it. */
export function stepResult(id: string, end: StepEnd): StepResult {
  switch (end.end) {
    case 'done':
    case 'present':
    case 'interrupted':
    case 'not-started':
      return {id, outcome: end.end};
    // What comes in its place tells how it went.
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

/** What is announced of a run with these copies: its images, and the blobs whose bytes have to be sent. */
export interface RunSize {
  readonly steps: number;
  readonly blobs: number;
  readonly bytes: number;
}

/** Adds up what is copied in one direction or in both. */
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
