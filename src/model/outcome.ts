import type {Digest} from './digest.ts';
import type {ErrorData, StepOutcome} from './event.ts';
import type {Tag} from './reference.ts';

/**
 * How a run ended. `incomplete`: all steps are done, but the plan leaves out images that no filter excludes, because
 * the source does not have them completely, or the destination cannot name them. `failed`: some steps failed, the
 * others are done. `interrupted`: a signal or a limit ended it; apply the plan again to resume. `drift`: source or
 * destination changed since planning. If that was found before the first write, nothing was written; if a tag of the
 * destination changed during the run, that tag was not changed, and the other steps were done.
 */
export type RunEnd = 'done' | 'incomplete' | 'failed' | 'interrupted' | 'drift';

/** The limit that ended a run. */
export type LimitCode = 'MAX_BYTES_REACHED' | 'MAX_DURATION_REACHED' | 'MAX_DELETES_REACHED';

/** The flag that sets the limit. */
export const LIMIT_FLAGS: Readonly<Record<LimitCode, string>> = {
  MAX_BYTES_REACHED: '--max-bytes',
  MAX_DURATION_REACHED: '--max-duration',
  MAX_DELETES_REACHED: '--max-deletes',
};

/** One of several parts of a plan, each applied by a separate run (`--shard 3/16`). */
export interface Shard {
  /** From 1. */
  readonly index: number;
  readonly total: number;
}

/**
 * The phases of a plan of copies: `create` creates groups and projects; `copy` does that and copies the images;
 * `delete` deletes tags, after all images are at their destinations.
 */
export const PHASES = ['create', 'copy', 'delete'] as const;

export type Phase = (typeof PHASES)[number];

/** How one step ended. `error`: why it failed, or which step blocks it. */
export interface StepResult {
  readonly id: string;
  readonly outcome: StepOutcome;
  /** From its start in this run to its end, in ms; absent: it was not started. */
  readonly durationMs?: number;
  readonly error?: ErrorData;
}

/** A tag that changed since planning. Null: the tag does not exist. */
export interface Drift {
  readonly side: 'source' | 'destination';
  /** `host/path`. */
  readonly repository: string;
  readonly tag: Tag;
  readonly planned: Digest | null;
  readonly actual: Digest | null;
}

/** A command to run next, without the name of the plan's file. */
export type NextCommand = 'apply' | 'apply --adopt-new-tags' | 'rollback' | 'plan';

/** The location of the images of a project that moves by way of a donor, and the possible commands. */
export interface TransferStanding {
  /** The location of the project: its old path, between its two changes, or its new path. */
  readonly project: 'before' | 'between' | 'after';
  /** Tags of the plan by their location now: `old + donor + target = total`. `donor`: no longer at the old path. */
  readonly images: {
    readonly total: number;
    readonly old: number;
    readonly donor: number;
    readonly target: number;
  };
  /** The donor: a directory, or the full path of a project. */
  readonly donor: string;
  /** The cleanup policy of the project is disabled during the move. */
  readonly isPaused: boolean;
  /** The commands that are possible now, the recommended one first; empty: nothing is left to do. */
  readonly next: readonly NextCommand[];
}

/** A project or group of a plan of transfers. */
interface ProjectOfPlan {
  /** GitLab's ID. */
  readonly id: number;
  /** Its full paths, old and new. */
  readonly from: string;
  readonly to: string;
}

/** The result of one project of a plan of transfers. */
export interface ProjectResult extends ProjectOfPlan {
  /** `not-started`: the run ended before this project. */
  readonly result: RunEnd | 'not-started';
  /** Why the project could not be started, or rolled back. */
  readonly error?: ErrorData;
  /** The location of the images; absent: no donor is used. */
  readonly standing?: TransferStanding;
}

/** The progress of one project of a plan of transfers, according to the journal. */
export interface ProjectStatus extends ProjectOfPlan {
  /** How the project ended in its last run; absent: it was not started, is in progress, or its run was killed. */
  readonly ended?: RunEnd;
  readonly standing?: TransferStanding;
}

/** A group of a plan of transfers, and its location; `between`: GitLab changes its parent and its path separately. */
export interface GroupStanding extends ProjectOfPlan {
  readonly group: 'before' | 'between' | 'after';
}

/** The result of one group of a plan of transfers. */
export interface GroupResult extends Omit<GroupStanding, 'group'> {
  /** The combined result of its own steps and of its projects. */
  readonly result: RunEnd | 'not-started';
  /** Why the group could not be started, or rolled back. */
  readonly error?: ErrorData;
  /** Absent: unknown. */
  readonly group?: GroupStanding['group'];
}

/** The result of applying a plan once. */
export interface RunResult {
  readonly plan: Digest;
  /** The part of the plan that was applied; absent: all of it. */
  readonly shard?: Shard;
  /** The phase that was applied; absent: all of them, of a shard all but `delete`. */
  readonly phase?: Phase;
  readonly result: RunEnd;
  /** If `result` is `interrupted`: the limit that ended the run; absent: a signal. */
  readonly limit?: LimitCode;
  /** When the run started and ended, ISO 8601. Absent: not known yet. */
  readonly began?: string;
  readonly ended?: string;
  /** Every step of the plan, or of its part, in the plan's order, including those that were not started. */
  readonly steps: readonly StepResult[];
  /** Bytes that were sent to the destination, including those of failed attempts. */
  readonly bytes: {readonly sent: number};
  /** Blobs by outcome, counted once for each destination repository. */
  readonly blobs: {readonly copied: number; readonly mounted: number; readonly present: number};
  /** Every tag that differs, if `result` is `drift`, or if a run that found drift was interrupted or failed. */
  readonly drift?: readonly Drift[];
  /** For a plan of transfers: the result of each project, in the plan's order. */
  readonly projects?: readonly ProjectResult[];
  /** For a plan that moves groups: the result of each, in the plan's order. */
  readonly groups?: readonly GroupResult[];
}

/** A difference between the destination and the plan. */
export interface VerifyDifference {
  readonly what: 'tag' | 'manifest' | 'blob';
  /** `host/path`. */
  readonly repository: string;
  /** The tag that differs. */
  readonly tag?: Tag;
  /** The planned digest. */
  readonly digest: Digest;
  /** The digest at the destination; null: nothing is there. */
  readonly actual: Digest | null;
}

/** The result of comparing the destination with a plan. No differences: all is as planned. */
export interface VerifyResult {
  readonly plan: Digest;
  /** The part of the plan that was compared; absent: all of it. */
  readonly shard?: Shard;
  readonly checked: {readonly tags: number; readonly manifests: number; readonly blobs: number};
  readonly differences: readonly VerifyDifference[];
  /** What `--repair` copied again before the comparison; absent: nothing was repaired. */
  readonly repaired?: {
    /** Number of images that were not as planned. */
    readonly images: number;
    /** Images that could not be repaired, and why. */
    readonly failures: readonly Required<Pick<StepResult, 'id' | 'error'>>[];
  };
  /** For a plan of transfers: the place that was compared for each project, in the plan's order. */
  readonly projects?: readonly ComparedPlace[];
}

/** The place of a project that was compared with its plan. */
export interface ComparedPlace extends ProjectOfPlan {
  readonly place: 'old' | 'donor' | 'target';
  /** The full path of the project there, or the directory. */
  readonly at: string;
  /** The location of the project now; `after`: as planned. */
  readonly project: 'before' | 'between' | 'after';
  /** Compared tags that the plan does not contain: they were created after planning and adopted. */
  readonly adopted: number;
}

/** An incomplete upload that can be resumed. */
export interface OpenUpload {
  readonly digest: Digest;
  /** The destination repository, `host/path`. */
  readonly to: string;
  /** Bytes that the registry has acknowledged. */
  readonly offset: number;
  /** Bytes of the whole blob. */
  readonly size: number;
}

/** A step whose last attempt failed. */
export interface StatusFailure {
  readonly id: string;
  /** The image that it copies, `host/path:tag` or `host/path@digest`; absent: a step of a transfer. */
  readonly image?: string;
  /** The error in the journal, whose code may come from another version. Absent: the journal has no error. */
  readonly error?: Omit<ErrorData, 'code'> & {readonly code: string};
}

/** The state of the runs that wrote one of the journals of a plan. */
export interface JournalStatus {
  readonly file: string;
  /** When its last run started, ISO 8601; absent: none has. */
  readonly began?: string;
  /** How its last run ended, and when; absent: it is running, or was killed. */
  readonly ended?: RunEnd;
  readonly endedAt?: string;
  /** Steps that are done, and steps whose last attempt failed. */
  readonly done: number;
  readonly failed: number;
}

/** The progress of a plan, according to its journal only. */
export interface StatusResult {
  readonly plan: Digest;
  /** The part of the plan that is counted; absent: all of it. */
  readonly shard?: Shard;
  /** The unit of `steps`. */
  readonly unit: 'image' | 'step';
  /**
   * `left`: steps not started or not finished; `done + failed + left = total`. `partly`: those of `left` of which some
   * content is at the destination; images only, 0 for a transfer.
   */
  readonly steps: {
    readonly done: number;
    readonly failed: number;
    readonly left: number;
    readonly partly: number;
    readonly total: number;
  };
  /** The steps that failed, in the order of the plan. */
  readonly failures: readonly StatusFailure[];
  /** Bytes of the blobs that the plan copies: of finished blobs, and of all. */
  readonly bytes: {readonly done: number; readonly total: number};
  readonly uploads: readonly OpenUpload[];
  /** How the last run ended; absent: there was none, it is running, or it was killed. */
  readonly ended?: RunEnd;
  /** The state of each journal, if there are several. */
  readonly journals?: readonly JournalStatus[];
  /** For a plan of transfers: the progress of each project, in the plan's order. */
  readonly projects?: readonly ProjectStatus[];
  /** For a plan that moves groups: the location of each, according to the journal. */
  readonly groups?: readonly GroupStanding[];
}

/**
 * The runs of a plan over time, by their journals. Times are ms of work: the time in which no run worked is left out.
 */
export interface RunHistory {
  /** How far the plan is. */
  readonly status: StatusResult;
  /** When the first run began and the last one ended, ISO 8601. A run that was killed ended with its last entry. */
  readonly began: string;
  readonly ended: string;
  /** How long at least one run worked, in ms. */
  readonly workedMs: number;
  /** Where time is left out, and how much. */
  readonly breaks: readonly {readonly at: number; readonly ms: number}[];
  /** False: the journals are of a version that wrote no times. */
  readonly isTimed: boolean;
  /** In the order of their beginnings, and how many there are besides. */
  readonly runs: readonly RunSpan[];
  readonly moreRuns: number;
  /** Equal parts of the time. */
  readonly slices: readonly TimeSlice[];
  /** The steps that took longest, in the order of their beginnings, and how many there are besides. */
  readonly steps: readonly StepSpan[];
  readonly moreSteps: number;
  /** Attempts that failed, the first ones; the next run may have made up for them. */
  readonly failures: readonly StepSpan[];
  readonly moreFailures: number;
  /** Blobs and manifests that were tried again, the first ones. */
  readonly retries: readonly {
    readonly at: number;
    readonly what: string;
    readonly code: string;
    readonly delayMs: number;
  }[];
  readonly moreRetries: number;
}

/** One run of `apply`. */
export interface RunSpan {
  /** Its journal. */
  readonly file: string;
  /** When it began, ISO 8601. */
  readonly at: string;
  readonly began: number;
  readonly ended: number;
  /** Absent: it runs now, or was killed. */
  readonly result?: RunEnd;
  /** Steps. `present`: done before. */
  readonly done: number;
  readonly present: number;
  readonly failed: number;
  /** Bytes that it sent for blobs that it completed. */
  readonly bytes: number;
  readonly retries: number;
}

/** A step in one run. */
export interface StepSpan {
  /** What it copies, `host/path:tag` or `host/path@digest`; of other steps the id. */
  readonly name: string;
  readonly began: number;
  readonly ended: number;
  /** How long it took; 0: not known. */
  readonly ms: number;
  readonly outcome: StepOutcome;
  readonly error?: StatusFailure['error'];
}

/** What happened in a part of the time. */
export interface TimeSlice {
  readonly bytes: number;
  /** Steps. */
  readonly done: number;
  readonly failed: number;
  readonly retries: number;
}
