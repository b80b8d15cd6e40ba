import type {Report} from '../model/event.ts';
import type {BlobAction} from '../model/plan.ts';

/** Minimum distance between two events about unacknowledged bytes, in bytes and ms. */
const TOLD_BYTES = 256 * 1024;
const TOLD_MS = 200;

/** Reports the progress of a blob: acknowledged bytes immediately, sent bytes at intervals. */
export class BlobProgress {
  readonly #blob: Pick<BlobAction, 'digest' | 'to'>;
  readonly #report: Report;
  #size: number;
  #acknowledged = 0;
  #sent = 0;
  #told = {bytes: 0, at: performance.now()};

  constructor({digest, to, size}: BlobAction, report: Report) {
    this.#blob = {digest, to};
    this.#size = size;
    this.#report = report;
  }

  /** Records the acknowledged bytes. @param bytes absolute; bytes that were sent beyond are lost */
  acknowledged(bytes: number): void {
    [this.#acknowledged, this.#sent] = [bytes, bytes];
    this.#told = {bytes, at: performance.now()};
    const {digest, to} = this.#blob;
    const size = this.#size;
    this.#report({type: 'blob-progress', digest, to, acknowledged: bytes, size});
  }

  /** Records further sent bytes. */
  sent(bytes: number): void {
    this.#sent = Math.min(this.#size, this.#sent + bytes);
    const now = performance.now();
    const {bytes: before, at} = this.#told;
    if (this.#sent - before < TOLD_BYTES || now - at < TOLD_MS) return;
    this.#told = {bytes: this.#sent, at: now};
    const {digest, to} = this.#blob;
    const [acknowledged, sent, size] = [this.#acknowledged, this.#sent, this.#size];
    this.#report({type: 'blob-progress', digest, to, acknowledged, sent, size});
  }

  resized(size: number): void {
    this.#size = size;
  }
}
