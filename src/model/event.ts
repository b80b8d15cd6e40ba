import type {Digest} from './digest.ts';
import type {ErrorCode} from './error-codes.ts';
import {asTransshipError, type Side, type TransshipError} from './error.ts';
import type {LimitCode, RunEnd} from './outcome.ts';

/** An error as data, for events, journals and JSON output. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly side: Side;
  /** Whether the same command may succeed later without any change. */
  readonly retry: boolean;
  readonly message: string;
  readonly hint: string;
}

/** How a blob got to its repository. */
export type BlobOutcome = 'copied' | 'mounted' | 'present';

/** How a step ended. `interrupted`: it began but is not done; part of a copied image may be at the destination. */
export type StepOutcome = 'done' | 'present' | 'failed' | 'blocked' | 'interrupted' | 'not-started';

/**
 * An event of a run in progress. Names and fields are a contract (`--progress json`). Events are reported
 * synchronously; a slow reporter must buffer them itself.
 */
export type RunEvent =
  | {
      readonly type: 'run-started';
      readonly plan: Digest;
      /** Number of images to copy; a transfer copies each of them twice, to the donor and from there. */
      readonly steps: number;
      readonly blobs: number;
      /**
       * How many of the steps are images. The others are attachments of images, such as signatures, and groups and
       * projects to create. Absent: all are images.
       */
      readonly images?: number;
      /** Bytes of the blobs to copy. */
      readonly bytes: number;
    }
  | {
      /** The run begins with a project of a plan of transfers. */
      readonly type: 'project-started';
      /** Full paths, old and new. */
      readonly from: string;
      readonly to: string;
      /** The position of the project in this run, from 1, and the number of projects. */
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
      /** The unit of `done` and `total`. Absent: tags. */
      readonly unit?: 'repositories';
    }
  | {
      readonly type: 'step-started';
      readonly step: string;
      /** For a step of a transfer: the number of images that it copies, each with its own events; absent: an image. */
      readonly images?: number;
    }
  | {
      readonly type: 'step-ended';
      readonly step: string;
      readonly outcome: StepOutcome;
      /** As in `step-started`. */
      readonly images?: number;
      /** The step is not one of the `images` of `run-started`. */
      readonly isBeside?: true;
      readonly error?: ErrorData;
    }
  | {
      readonly type: 'blob-started';
      readonly digest: Digest;
      readonly to: string;
      readonly size: number;
      /** The first image that contains the blob, `host/path:tag`. */
      readonly image?: string;
    }
  | {
      readonly type: 'blob-progress';
      readonly digest: Digest;
      readonly to: string;
      /** Bytes that the destination has acknowledged; absolute, so it may decrease. */
      readonly acknowledged: number;
      /** Bytes that were sent, including those not yet acknowledged; absolute. Absent: as `acknowledged`. */
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
      /** As in `RunResult`. */
      readonly limit?: LimitCode;
      readonly done: number;
      readonly failed: number;
      /** Bytes that were sent to the destination. */
      readonly bytes: number;
    };

/** Receives the events of a run. */
export type Report = (event: RunEvent) => void;

/** Converts an error to data. @param side the side of an error that is not a TransshipError */
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
