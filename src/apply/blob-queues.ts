import PQueue from 'p-queue';
import type {BlobAction} from '../model/plan.ts';
import type {Jobs} from './apply-context.ts';

/** Blobs above this many bytes go first, the largest of them before the others, so that none is left alone at the end. */
const LARGE = 8 * 1024 * 1024;

/** Whether this blob is one of the few that take most of the time. */
export function isLarge({action, size}: BlobAction): boolean {
  return action === 'copy' && size > LARGE;
}

/** Lets so many blobs be worked on at once: large ones first, but never so many that no other gets a place. */
export class BlobQueues {
  readonly #all: PQueue;
  readonly #large: PQueue;

  constructor({all, large}: Jobs) {
    this.#all = new PQueue({concurrency: all});
    this.#large = new PQueue({concurrency: large});
  }

  /** Runs `work` when it is its turn. */
  async add(action: BlobAction, work: () => Promise<void>): Promise<void> {
    if (!isLarge(action)) return this.#all.add(work);
    const priority = action.size;
    return this.#large.add(() => this.#all.add(work, {priority}), {priority});
  }
}
