import type {RunEvent} from '../../model/event.ts';

/** A blob on its way, in bytes. */
interface UnderWay {
  readonly acknowledged: number;
  readonly size: number;
}

/** The sums that progress is shown from. Absolute values in, so a rewound upload lowers them by itself. */
export class RunTally {
  /** Images that are done, or have failed: what an interrupted run leaves is still to come. */
  stepsEnded = 0;
  /** The step that a transfer is at; it carries all images once or twice. Empty: a copy, or none has begun. */
  phase = '';
  isStarted = false;
  stepsFailed = 0;
  /** Bytes that the destination acknowledged in this run: what it had before, and mounts, are not among them. */
  travelled = 0;
  #steps = 0;
  #bytes = 0;
  /** Bytes of blobs that have travelled, in this run or before. */
  #endedBytes = 0;
  readonly #underWay = new Map<string, UnderWay>();

  /** Images, also those that are done; never less than have ended: a transfer may take more along. */
  get steps(): number {
    return Math.max(this.#steps, this.stepsEnded);
  }

  /**
   * Bytes that have to travel, also those that have. More than was announced where a registry does not mount what it was
   * to mount, or lost what it had.
   */
  get bytes(): number {
    return Math.max(this.#bytes, this.#endedBytes + this.#sum(({size}) => size));
  }

  /** Bytes of those that the destination has; never more than `bytes`. */
  get acknowledged(): number {
    return this.#endedBytes + this.#sum(({acknowledged}) => acknowledged);
  }

  add(event: RunEvent): void {
    switch (event.type) {
      case 'run-started':
        this.isStarted = true;
        this.#steps = event.steps;
        this.#bytes = event.bytes;
        break;
      case 'step-started':
        if (event.images === undefined) break;
        this.phase = event.step;
        if (event.images === 0) break;
        this.stepsEnded = 0;
        this.#steps = event.images;
        break;
      case 'step-ended':
        if (event.images !== undefined) break;
        if (event.outcome === 'not-started' || event.outcome === 'interrupted') break;
        this.stepsEnded += 1;
        if (event.outcome === 'failed' || event.outcome === 'blocked') this.stepsFailed += 1;
        break;
      case 'blob-progress': {
        const {acknowledged, size} = event;
        const key = `${event.digest} ${event.to}`;
        // The first word on a blob is where it stands: an upload of an earlier run may have come far.
        const before = this.#underWay.get(key)?.acknowledged ?? acknowledged;
        this.travelled += Math.max(0, acknowledged - before);
        this.#underWay.set(key, {acknowledged: Math.min(acknowledged, size), size});
        break;
      }
      case 'blob-ended': {
        // What the destination has of one that did not get through stays there.
        if (event.outcome === 'failed') break;
        // A mount in place of a copy: its bytes were to travel. Those of a mount of the plan never were.
        const wasUnderWay = this.#underWay.delete(`${event.digest} ${event.to}`);
        if (event.outcome !== 'mounted' || wasUnderWay) this.#endedBytes += event.size;
        break;
      }
      case 'observing':
      case 'project-started':
      case 'project-ended':
      case 'blob-started':
      case 'retrying':
      case 'notice':
      case 'run-ended':
        break;
    }
  }

  #sum(of: (blob: UnderWay) => number): number {
    let sum = 0;
    for (const blob of this.#underWay.values()) sum += of(blob);
    return sum;
  }
}
