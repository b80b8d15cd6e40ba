import type {Digest} from './digest.ts';
import type {ErrorData, StepOutcome} from './event.ts';
import type {Tag} from './reference.ts';

/**
 * How a run ended. `incomplete`: all that the plan does is done, but it leaves images out that no filter excludes, since
 * the source cannot give them or the destination has no name for them. `failed`: some steps failed, the others are done. `interrupted`: a signal or a limit ended it; applying
 * again goes on. `drift`: the world is no longer as planned. Where that was found before the first write, nothing was written;
 * where a tag of the destination changed during the run, that tag was left alone and the other steps were done.
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

/** One of the parts that a plan is carried out in, each by a run of its own (`--shard 3/16`). */
export interface Shard {
  /** From 1. */
  readonly index: number;
  readonly total: number;
}

/**
 * A part of a plan of copies by what it does: the groups and projects that are created; also the images that are copied;
 * the tags that are deleted, once all images are at their destinations.
 */
export const PHASES = ['create', 'copy', 'delete'] as const;

export type Phase = (typeof PHASES)[number];

/** How one step ended; `error` says why where it failed, or names the step that blocks it. */
export interface StepResult {
  readonly id: string;
  readonly outcome: StepOutcome;
  /** From when it was begun in this run to its end, in ms; absent: it was not begun. */
  readonly durationMs?: number;
  readonly error?: ErrorData;
}

/** A tag that does not point to what it pointed to when planning. Null: there is no such tag. */
export interface Drift {
  readonly side: 'source' | 'destination';
  /** `host/path`. */
  readonly repository: string;
  readonly tag: Tag;
  readonly planned: Digest | null;
  readonly actual: Digest | null;
}

/** A command for the plan at hand, without the name of its file. */
export type NextCommand = 'apply' | 'apply --adopt-new-tags' | 'rollback' | 'plan';

/** Where the images of a project that moves by way of a donor are, and what can be done. */
export interface TransferStanding {
  /** Where the project is: at its old path, between two changes of it, at its new path. */
  readonly project: 'before' | 'between' | 'after';
  /** Tags of the plan by where they are now: `old + donor + target = total`. `donor`: gone from the old path. */
  readonly images: {
    readonly total: number;
    readonly old: number;
    readonly donor: number;
    readonly target: number;
  };
  /** The folder, or the full path of the project, where images wait. */
  readonly donor: string;
  /** The cleanup policy of the project is switched off for the time of the move. */
  readonly isPaused: boolean;
  /** The commands that work now, the first one first; none: there is nothing left to do. */
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

/** What came of one project of a plan of transfers. */
export interface ProjectResult extends ProjectOfPlan {
  /** `not-started`: the run ended before it came to this project. */
  readonly result: RunEnd | 'not-started';
  /** Why the project could not be begun, or not be taken back. */
  readonly error?: ErrorData;
  /** Where the images are; absent where no donor is used. */
  readonly standing?: TransferStanding;
}

/** How far one project of a plan of transfers is, by the journal. */
export interface ProjectStatus extends ProjectOfPlan {
  /** How the project ended in its last run; absent: it was not begun, is under way, or its run was killed. */
  readonly ended?: RunEnd;
  readonly standing?: TransferStanding;
}

/** A group of a plan of transfers, and where it is; `between`: GitLab changes its parent and its path one after the other. */
export interface GroupStanding extends ProjectOfPlan {
  readonly group: 'before' | 'between' | 'after';
}

/** What came of one group of a plan of transfers. */
export interface GroupResult extends Omit<GroupStanding, 'group'> {
  /** That of its own steps and of its projects together. */
  readonly result: RunEnd | 'not-started';
  /** Why it could not be begun, or not be taken back. */
  readonly error?: ErrorData;
  /** Absent: nobody knows. */
  readonly group?: GroupStanding['group'];
}

/** What came of applying a plan once. */
export interface RunResult {
  readonly plan: Digest;
  /** The part of the plan that was applied; absent: all of it. */
  readonly shard?: Shard;
  /** The phase that was applied; absent: all of them, of a shard all but `delete`. */
  readonly phase?: Phase;
  readonly result: RunEnd;
  /** The limit that ended the run; set only where `result` is `interrupted`. Absent: a signal did. */
  readonly limit?: LimitCode;
  /** When the run began and ended, ISO 8601. Absent: not known yet. */
  readonly began?: string;
  readonly ended?: string;
  /** Every step of the plan, or of the part of it, in its order, also those that were not started. */
  readonly steps: readonly StepResult[];
  /** Bytes that were sent to the destination, those of failed attempts included. */
  readonly bytes: {readonly sent: number};
  /** Blobs by what happened to them, counted once for each destination repository. */
  readonly blobs: {readonly copied: number; readonly mounted: number; readonly present: number};
  /** Every tag that differs; set where `result` is `drift`, or where a run that found drift was interrupted or failed. */
  readonly drift?: readonly Drift[];
  /** Of a plan of transfers: what came of each project, in the plan's order. */
  readonly projects?: readonly ProjectResult[];
  /** Of a plan that moves groups: the result of each, in the plan's order. */
  readonly groups?: readonly GroupResult[];
}

/** Something at the destination that is not as the plan says. */
export interface VerifyDifference {
  readonly what: 'tag' | 'manifest' | 'blob';
  /** `host/path`. */
  readonly repository: string;
  /** The tag that differs. */
  readonly tag?: Tag;
  /** The planned digest. */
  readonly digest: Digest;
  /** What is there in its place; null: nothing. */
  readonly actual: Digest | null;
}

/** What came of comparing the destination with a plan. No differences: all is as planned. */
export interface VerifyResult {
  readonly plan: Digest;
  /** The part of the plan that was compared; absent: all of it. */
  readonly shard?: Shard;
  readonly checked: {readonly tags: number; readonly manifests: number; readonly blobs: number};
  readonly differences: readonly VerifyDifference[];
  /** What was brought again (`--repair`), before all of this was compared; absent: nothing was wrong, or to be repaired. */
  readonly repaired?: {
    /** Images that were not as planned. */
    readonly images: number;
    /** Of those, the ones that could not be brought again, and why. */
    readonly failures: readonly Required<Pick<StepResult, 'id' | 'error'>>[];
  };
  /** Of a plan of transfers: the place that was compared for each project, in the plan's order. */
  readonly projects?: readonly ComparedPlace[];
}

/** The place of a project that was compared with its plan. */
export interface ComparedPlace extends ProjectOfPlan {
  readonly place: 'old' | 'donor' | 'target';
  /** The full path of the project there, or the folder. */
  readonly at: string;
  /** Where the project is by now, and whether that is where the plan wants it (`after`). */
  readonly project: 'before' | 'between' | 'after';
  /** Tags among the compared ones that the plan does not name: they came after planning and were taken along. */
  readonly adopted: number;
}

/** An upload that stands half-way and can be continued. */
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
  /** What it copies, `host/path:tag` or `host/path@digest`; absent: a step of a transfer. */
  readonly image?: string;
  /** As the journal has it, whose code may be one of another version. Absent: the journal does not say why. */
  readonly error?: Omit<ErrorData, 'code'> & {readonly code: string};
}

/** What one of the journals of a plan says of the runs that wrote it. */
export interface JournalStatus {
  readonly file: string;
  /** When its last run began, ISO 8601; absent: none has. */
  readonly began?: string;
  /** How its last run ended, and when; absent: it runs now, or was killed. */
  readonly ended?: RunEnd;
  readonly endedAt?: string;
  /** Steps that were done, and that failed in their last attempt. */
  readonly done: number;
  readonly failed: number;
}

/** How far a plan is, by its journal alone. */
export interface StatusResult {
  readonly plan: Digest;
  /** The part of the plan that is counted; absent: all of it. */
  readonly shard?: Shard;
  /** What is counted as `steps`. */
  readonly unit: 'image' | 'step';
  /**
   * `left` steps were not started or not finished; `done + failed + left = total`. `partly` of them have some of their
   * content at the destination: images only, 0 for a transfer.
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
  /** Bytes of the blobs that the plan copies: those of finished blobs, and of all. */
  readonly bytes: {readonly done: number; readonly total: number};
  readonly uploads: readonly OpenUpload[];
  /** How the last run ended; absent: none ran, one runs now, or it was killed. */
  readonly ended?: RunEnd;
  /** Of several journals: what each of them says. */
  readonly journals?: readonly JournalStatus[];
  /** Of a plan of transfers: how far each project is, in the plan's order. */
  readonly projects?: readonly ProjectStatus[];
  /** Of a plan that moves groups: where each is, by the journal. */
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
