import PQueue from 'p-queue';
import type {BlobAction} from '../model/plan.ts';
import type {Jobs} from './apply-context.ts';

/** Blobs above this many bytes are started first, the largest first, so that none remains alone at the end. */
const LARGE = 8 * 1024 * 1024;

/** Whether this blob is large, as the few that take most of the time. */
export function isLarge({action, size}: BlobAction): boolean {
  return action === 'copy' && size > LARGE;
}

/** Limits the blobs in progress. Large ones start first, but leave slots for the others. */
export class BlobQueues {
  readonly #all: PQueue;
  readonly #large: PQueue;

  constructor({all, large}: Jobs) {
    this.#all = new PQueue({concurrency: all});
    this.#large = new PQueue({concurrency: large});
  }

  /** Runs `work` when a slot is free. */
  async add(action: BlobAction, work: () => Promise<void>): Promise<void> {
    if (!isLarge(action)) return this.#all.add(work);
    const priority = action.size;
    return this.#large.add(() => this.#all.add(work, {priority}), {priority});
  }
}
