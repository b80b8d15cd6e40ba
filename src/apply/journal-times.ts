import type {RunEvent} from '../model/event.ts';
import type {JournalEntry} from './journal-file.ts';

type RetryEntry = Extract<JournalEntry, {type: 'retry'}>;

/** Retries that one run writes down; a registry that fails for hours must not fill the journal. */
const RETRY_LIMIT = 1000;

/** A blob on its way. */
interface BlobTiming {
  readonly began: number;
  readonly size: number;
  /** Bytes that were there before this run sent any; undefined: not told yet. */
  before?: number;
  retries: number;
}

/**
 * What the events of a run tell of its steps and blobs, for the entries of its journal: when each ended, how long it
 * took, what was sent. What is under way is remembered, and forgotten once it has ended.
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

  /** @returns what is to be written down of it */
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

  /** The entry with its times, where they are known. */
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

/** As it is called where it is tried again. */
function blobName({digest, to}: {readonly digest: string; readonly to: string}): string {
  return `${digest} to ${to}`;
}
