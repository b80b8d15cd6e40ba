import type {Drift, StepResult} from '../../model/outcome.ts';
import type {ErrorData} from '../../model/event.ts';
import type {BlobCounts} from '../blob-transfers.ts';

/** How a step of a transfer ended. */
export type StepEnd =
  /** `present`: there was nothing left to do. */
  | ({readonly end: 'done' | 'present'} & Carried)
  | ({readonly end: 'failed'; readonly error: ErrorData} & Carried)
  | ({readonly end: 'drift'; readonly drift: readonly Drift[]} & Carried)
  /** A signal came, after it had begun or before; or a no to a question. Applying again goes on. */
  | ({readonly end: 'interrupted' | 'not-started'} & Carried);

interface Carried {
  /** The images of the step. */
  readonly images?: readonly StepResult[];
  readonly counts?: BlobCounts;
}

export const DONE: StepEnd = {end: 'done'};
export const PRESENT: StepEnd = {end: 'present'};
