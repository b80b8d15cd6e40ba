import type {RunEvent} from '../model/event.ts';
import type {JournalEntry} from './journal-file.ts';

type RetryEntry = Extract<JournalEntry, {type: 'retry'}>;

/**
 * The maximum number of retries that a run records, so that a registry that fails for hours does not fill the journal.
 */
const RETRY_LIMIT = 1000;

/** A blob that is being copied. */
interface BlobTiming {
  readonly began: number;
  readonly size: number;
  /** Bytes at the destination before this run sent any; undefined: not reported yet. */
  before?: number;
  retries: number;
}

/**
 * Collects from the events of a run when its steps and blobs ended, how long they took, and what was sent, for the
 * journal. It keeps only what is under way.
 */
export class JournalTimes {
  readonly #now: () => Date;
  readonly #steps = new Map<string, number>();
  /** By `blobName`. */
  readonly #blobs = new Map<string, BlobTiming>();
  #retries = 0;

  constructor(now: () => Date) {
    this.#now = now;
  }

  /** @returns an entry to record, if any */
  see(event: RunEvent): RetryEntry | undefined {
    switch (event.type) {
      case 'step-started':
        this.#steps.set(event.step, this.#ms());
        return undefined;
      case 'step-ended':
        this.#steps.delete(event.step);
        return undefined;
      case 'blob-started':
        this.#blobs.set(blobName(event), {
          began: this.#ms(),
          size: event.size,
          retries: 0,
        });
        return undefined;
      case 'blob-progress': {
        const blob = this.#blobs.get(blobName(event));
        if (blob !== undefined) blob.before ??= event.acknowledged;
        return undefined;
      }
      case 'blob-ended':
        this.#blobs.delete(blobName(event));
        return undefined;
      case 'retrying':
        return this.#retry(event);
      default:
        return undefined;
    }
  }

  /** The entry with its times, if they are known. */
  timed(entry: JournalEntry): JournalEntry {
    const at = this.#now().toISOString();
    if (entry.type === 'step') return {...entry, at, ...this.#took(this.#steps.get(entry.id))};
    if (entry.type !== 'blob') return entry;
    const blob = this.#blobs.get(blobName(entry));
    if (blob === undefined) return {...entry, at};
    const {began, size, before = 0, retries} = blob;
    return {
      ...entry,
      at,
      ...this.#took(began),
      ...(entry.outcome === 'copied' ? {bytes: Math.max(0, size - before)} : {}),
      ...(retries === 0 ? {} : {retries}),
    };
  }

  #retry({what, delayMs, error}: Extract<RunEvent, {type: 'retrying'}>): RetryEntry | undefined {
    const blob = this.#blobs.get(what);
    if (blob !== undefined) blob.retries += 1;
    this.#retries += 1;
    if (this.#retries > RETRY_LIMIT) return undefined;
    const {code, side} = error;
    return {type: 'retry', at: this.#now().toISOString(), what, delayMs, code, side};
  }

  #took(began: number | undefined): {readonly ms?: number} {
    return began === undefined ? {} : {ms: Math.max(0, Math.round(this.#ms() - began))};
  }

  #ms(): number {
    return this.#now().getTime();
  }
}

/** The name of a blob in retries. */
function blobName({digest, to}: {readonly digest: string; readonly to: string}): string {
  return `${digest} to ${to}`;
}
