import type {RunEvent} from '../../model/event.ts';

/** The sums that progress is shown from. Absolute values in, so a rewound upload lowers them by itself. */
export class RunTally {
  steps = 0;
  stepsEnded = 0;
  stepsFailed = 0;
  blobs = 0;
  blobsEnded = 0;
  /** Bytes that have to travel. */
  bytes = 0;
  /** Bytes of ended blobs. */
  #endedBytes = 0;
  readonly #underWay = new Map<string, number>();

  /** Bytes that the destination has acknowledged. */
  get acknowledged(): number {
    let sum = this.#endedBytes;
    for (const bytes of this.#underWay.values()) sum += bytes;
    return sum;
  }

  add(event: RunEvent): void {
    switch (event.type) {
      case 'run-started':
        this.steps = event.steps;
        this.blobs = event.blobs;
        this.bytes = event.bytes;
        break;
      case 'step-ended':
        this.stepsEnded += 1;
        if (event.outcome === 'failed' || event.outcome === 'blocked') this.stepsFailed += 1;
        break;
      case 'blob-progress':
        this.#underWay.set(`${event.digest} ${event.to}`, event.acknowledged);
        break;
      case 'blob-ended':
        this.#underWay.delete(`${event.digest} ${event.to}`);
        if (event.outcome === 'copied') {
          this.blobsEnded += 1;
          this.#endedBytes += event.size;
        }
        break;
      case 'observing':
      case 'step-started':
      case 'blob-started':
      case 'retrying':
      case 'notice':
      case 'run-ended':
        break;
    }
  }
}
