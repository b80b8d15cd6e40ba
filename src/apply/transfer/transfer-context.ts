import type {GitLab} from '../../gitlab/gitlab.ts';
import type {Patience} from '../../gitlab/confirm.ts';
import type {TransferStanding} from '../../model/outcome.ts';
import type {Call} from '../../model/port.ts';
import type {TagLimits} from '../../plan/transfer/facts.ts';
import type {CarryContext, Interruption} from '../apply-context.ts';

/** What carrying out a transfer needs besides the plan. */
export interface TransferContext extends CarryContext {
  readonly gitlab: Pick<GitLab, 'projects' | 'repositories' | 'protection'>;
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
  /** Where a donor folder, or a layout in it, is on this machine. */
  readonly folderOf: (path: string) => string;
  /** What the registry's own token says about the tags of a repository; undefined: it does not say. */
  readonly tagLimits: (repository: string, call: Call) => Promise<TagLimits | undefined>;
  /** How long to wait for what GitLab does in the background. */
  readonly patience: Patience;
}

export interface DeletionQuestion {
  readonly tags: number;
  readonly repositories: number;
  /** Full path of the project. */
  readonly project: string;
  /** Where the images are going to be by then. */
  readonly donor: string;
}

/** One run of a transfer: what all its steps work with. */
export interface TransferRun {
  readonly context: TransferContext;
  readonly interruption: Interruption;
  /** Ends at the second signal. */
  readonly call: Call;
  /** For what only compares, and has nothing to finish: ends at the first. */
  readonly reading: Call;
  readonly progress: TransferProgress;
}

/** Where the project is: at its old path, between two changes, at its new one. */
export type Whereabouts = TransferStanding['project'];

/** What this run has seen and proved. The steps write it, the steps after them go by it. */
export interface TransferProgress {
  where: Whereabouts;
  /** Every manifest and blob was found at the donor in this run. */
  isDonorProved: boolean;
  /** The images were pulled in this run, those at least that the plan had then. */
  isPulled: boolean;
}

/** At the beginning of a run. */
export function newProgress(where: Whereabouts): TransferProgress {
  return {where, isDonorProved: false, isPulled: false};
}
