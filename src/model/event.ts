import type {Digest} from './digest.ts';
import type {ErrorCode} from './error-codes.ts';
import {asTransshipError, type Side, type TransshipError} from './error.ts';
import type {LimitCode, RunEnd} from './outcome.ts';

/** An error as data, for events, journals and JSON answers. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly side: Side;
  /** Whether the same command may succeed later with nothing changed. */
  readonly retry: boolean;
  readonly message: string;
  readonly hint: string;
}

/** How a blob got to its repository. */
export type BlobOutcome = 'copied' | 'mounted' | 'present';

/** How a step ended. `interrupted`: it had begun and is not done; of a copy, some of its content is at the destination. */
export type StepOutcome = 'done' | 'present' | 'failed' | 'blocked' | 'interrupted' | 'not-started';

/**
 * All that can be told about a run while it goes on. The names and fields are a contract (`--progress json`).
 * Reported synchronously; a reporter that is slow must buffer by itself.
 */
export type RunEvent =
  | {
      readonly type: 'run-started';
      readonly plan: Digest;
      /** Images that are copied; a transfer copies each of them twice, to the donor and from there. */
      readonly steps: number;
      readonly blobs: number;
      /**
       * Images among the steps. The others are of what belongs to images, such as signatures, and groups and projects that
       * are created. Absent: all are images.
       */
      readonly images?: number;
      /** Bytes of the blobs that have to travel. */
      readonly bytes: number;
    }
  | {
      /** A project of a plan of transfers is begun. */
      readonly type: 'project-started';
      /** Full paths, old and new. */
      readonly from: string;
      readonly to: string;
      /** From 1, in the order in which this run comes to them, and how many there are. */
      readonly number: number;
      readonly of: number;
    }
  | {
      readonly type: 'project-ended';
      readonly from: string;
      readonly result: RunEnd;
      readonly error?: ErrorData;
    }
  | {
      readonly type: 'observing';
      readonly what: string;
      readonly done: number;
      readonly total: number;
      /** What is counted. Absent: tags. */
      readonly unit?: 'repositories';
    }
  | {
      readonly type: 'step-started';
      readonly step: string;
      /** Of a step of a transfer: the images that it copies, which are told of one by one; absent: an image. */
      readonly images?: number;
    }
  | {
      readonly type: 'step-ended';
      readonly step: string;
      readonly outcome: StepOutcome;
      /** As in `step-started`. */
      readonly images?: number;
      /** It is none of the `images` of `run-started`. */
      readonly isBeside?: true;
      readonly error?: ErrorData;
    }
  | {
      readonly type: 'blob-started';
      readonly digest: Digest;
      readonly to: string;
      readonly size: number;
      /** The first image that it is for, `host/path:tag`. */
      readonly image?: string;
    }
  | {
      readonly type: 'blob-progress';
      readonly digest: Digest;
      readonly to: string;
      /** Bytes that the destination has acknowledged; absolute, so a rewind lowers it by itself. */
      readonly acknowledged: number;
      /** Bytes that were sent, among them those that are not yet acknowledged; absolute. Absent: as many. */
      readonly sent?: number;
      readonly size: number;
    }
  | {
      readonly type: 'blob-ended';
      readonly digest: Digest;
      readonly to: string;
      readonly outcome: BlobOutcome | 'failed';
      readonly size: number;
    }
  | {
      readonly type: 'retrying';
      readonly what: string;
      readonly attempt: number;
      readonly delayMs: number;
      /** The host asked for this pause. */
      readonly isAsked?: true;
      readonly error: ErrorData;
    }
  | {readonly type: 'notice'; readonly code: string; readonly message: string}
  | {
      readonly type: 'run-ended';
      readonly result: RunEnd;
      /** The limit that ended the run, as in its result. */
      readonly limit?: LimitCode;
      readonly done: number;
      readonly failed: number;
      /** Bytes that were sent to the destination. */
      readonly bytes: number;
    };

export type Report = (event: RunEvent) => void;

/** An error as data, for events, journals and results. */
export function errorData(thrown: unknown, side: Side = 'local'): ErrorData {
  const {code, side: whose, retry, message, hint} = asTransshipError(thrown, side);
  return {code, side: whose, retry, message, hint};
}

/** That something is tried again after a pause. */
export function retryEvent(
  what: string,
  attempt: number,
  delayMs: number,
  error: TransshipError,
): RunEvent {
  const asked = error.isPauseAsked ? {isAsked: true as const} : {};
  return {type: 'retrying', what, attempt, delayMs, ...asked, error: errorData(error)};
}
