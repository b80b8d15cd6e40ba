import type {Report} from '../model/event.ts';
import type {BlobAction} from '../model/plan.ts';

/** Between two events about bytes that are not yet acknowledged, in bytes and ms. */
const TOLD_BYTES = 256 * 1024;
const TOLD_MS = 200;

/** Reports how far a blob is: what the destination has at once, what is being sent now and then. */
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

  /** @param bytes absolute: what was sent beyond is lost */
  acknowledged(bytes: number): void {
    [this.#acknowledged, this.#sent] = [bytes, bytes];
    this.#told = {bytes, at: performance.now()};
    const {digest, to} = this.#blob;
    const size = this.#size;
    this.#report({type: 'blob-progress', digest, to, acknowledged: bytes, size});
  }

  /** @param bytes more of them */
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
