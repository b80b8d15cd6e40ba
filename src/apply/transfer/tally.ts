import type {Digest} from '../../model/digest.ts';
import type {ErrorData} from '../../model/event.ts';
import type {Drift, RunEnd, RunResult, StepResult} from '../../model/outcome.ts';
import type {StepEnd} from './step-end.ts';

/** Gathers what came of the steps of a transfer: each step, after it its images. */
export class Tally {
  readonly #plan: Digest;
  /** By id; a step that was done once more counts as it ended last. */
  readonly #steps = new Map<string, StepResult>();
  readonly #blobs = {copied: 0, mounted: 0, present: 0};
  #sent = 0;

  constructor(plan: Digest) {
    this.#plan = plan;
  }

  add(id: string, end: StepEnd): void {
    for (const result of [stepResult(id, end), ...(end.images ?? [])])
      this.#steps.set(result.id, result);
    if (end.counts === undefined) return;
    this.#blobs.copied += end.counts.copied;
    this.#blobs.mounted += end.counts.mounted;
    this.#blobs.present += end.counts.present;
    this.#sent += end.counts.sent;
  }

  result(result: RunEnd, drift?: readonly Drift[]): RunResult {
    return {
      plan: this.#plan,
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
    message: `${first?.repository}:${first?.tag}${more} changed since the plan was made`,
    hint: 'nothing of what changed was deleted; what is gone from the old path is at the donor',
  };
}
