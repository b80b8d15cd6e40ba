import {shortDigest} from '../../model/digest.ts';
import type {ErrorData, RunEvent} from '../../model/event.ts';
import {isLocal} from '../../model/place.ts';
import {Rate} from './rate.ts';

/** A blob on its way. */
export interface ActiveBlob {
  /** The image that it is for, or where it goes. */
  readonly name: string;
  /** Bytes that the destination has, or is being sent. */
  readonly moved: number;
  readonly acknowledged: number;
  readonly size: number;
  readonly rate: Rate;
}

/** Something that is waited for. */
export interface Wait {
  /** Who has to be waited for. */
  readonly host: string;
  /** In words. */
  readonly why: string;
  /** When it is over, in ms of `performance.now`. */
  readonly until: number;
}

/** More would be a screen of nothing else. */
const MOST_WAITS = 8;
/** Shorter ones are over before they are read, in ms. */
const SHORTEST_WAIT_MS = 1000;

/** The sums that progress is shown from. Absolute values in, so a rewound upload lowers them by itself. */
export class RunTally {
  /** Steps that are done, or have failed: what an interrupted run leaves is still to come. */
  stepsEnded = 0;
  /** The step that a transfer is at; it carries all images once or twice. Empty: a copy, or none has begun. */
  phase = '';
  isStarted = false;
  /** Bytes that the destination acknowledged in this run: what it had before, and mounts, are not among them. */
  travelled = 0;
  /** Images that are done, in this run or before, and that failed. */
  done = 0;
  failed = 0;
  /** Requests and uploads that were tried again. */
  retries = 0;
  /** When the run began, in ms of `performance.now`. */
  began = 0;
  readonly blobs = new Map<string, ActiveBlob>();
  #waits: Wait[] = [];
  #steps = 0;
  #images: number | undefined;
  #bytes = 0;
  /** Bytes of blobs that have travelled, in this run or before. */
  #endedBytes = 0;
  readonly #underWay = new Map<
    string,
    {readonly acknowledged: number; readonly moved: number; readonly size: number}
  >();

  /** Steps, also those that are done; never less than have ended: a transfer may take more along. */
  get steps(): number {
    return Math.max(this.#steps, this.stepsEnded);
  }

  /** Images among the steps; never less than have ended. */
  get images(): number {
    return Math.max(this.#images ?? this.#steps, this.done + this.failed);
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

  /** The same, with what is being sent: it moves inside a chunk. */
  get moved(): number {
    return this.#endedBytes + this.#sum(({moved}) => moved);
  }

  /** What the rate is of: `travelled`, with what is being sent. */
  get moving(): number {
    return this.travelled + this.#sum(({acknowledged, moved}) => moved - acknowledged);
  }

  /** What is waited for at this moment, the longest wait first. */
  waits(now: number): readonly Wait[] {
    this.#waits = this.#waits.filter(({until}) => until > now);
    return this.#waits.toSorted((a, b) => b.until - a.until);
  }

  add(event: RunEvent): void {
    switch (event.type) {
      case 'run-started':
        this.isStarted = true;
        this.began = performance.now();
        this.#steps = event.steps;
        this.#images = event.images;
        this.#bytes = event.bytes;
        break;
      case 'step-started':
        if (event.images === undefined) break;
        this.phase = event.step;
        if (event.images === 0) break;
        this.stepsEnded = 0;
        [this.done, this.failed] = [0, 0];
        this.#steps = event.images;
        this.#images = undefined;
        break;
      case 'step-ended':
        this.#stepEnded(event);
        break;
      case 'blob-started':
        this.blobs.set(`${event.digest} ${event.to}`, {
          name: event.image ?? `${event.to}@${shortDigest(event.digest)}`,
          moved: 0,
          acknowledged: 0,
          size: event.size,
          rate: new Rate(),
        });
        break;
      case 'blob-progress':
        this.#progress(event);
        break;
      case 'blob-ended': {
        const key = `${event.digest} ${event.to}`;
        this.blobs.delete(key);
        // What the destination has of one that did not get through stays there.
        if (event.outcome === 'failed') break;
        // A mount in place of a copy: its bytes were to travel. Those of a mount of the plan never were.
        const wasUnderWay = this.#underWay.delete(key);
        if (event.outcome !== 'mounted' || wasUnderWay) this.#endedBytes += event.size;
        break;
      }
      case 'retrying':
        this.#retrying(event);
        break;
      case 'observing':
      case 'project-started':
      case 'project-ended':
      case 'notice':
      case 'run-ended':
        break;
    }
  }

  #stepEnded({outcome, images, isBeside}: Extract<RunEvent, {type: 'step-ended'}>): void {
    if (images !== undefined || outcome === 'not-started' || outcome === 'interrupted') return;
    const isFailed = outcome === 'failed' || outcome === 'blocked';
    this.stepsEnded += 1;
    if (isFailed) this.failed += 1;
    else if (isBeside !== true) this.done += 1;
  }

  #progress({
    digest,
    to,
    acknowledged,
    sent,
    size,
  }: Extract<RunEvent, {type: 'blob-progress'}>): void {
    const key = `${digest} ${to}`;
    // The first word on a blob is where it stands: an upload of an earlier run may have come far.
    const before = this.#underWay.get(key)?.acknowledged ?? acknowledged;
    this.travelled += Math.max(0, acknowledged - before);
    const known = Math.min(acknowledged, size);
    const moved = Math.min(Math.max(known, sent ?? 0), size);
    this.#underWay.set(key, {acknowledged: known, moved, size});
    const blob = this.blobs.get(key);
    if (blob === undefined) return;
    blob.rate.sample(performance.now(), moved);
    this.blobs.set(key, {...blob, moved, acknowledged: known, size});
  }

  #retrying(event: Extract<RunEvent, {type: 'retrying'}>): void {
    const {what, delayMs} = event;
    this.retries += 1;
    if (delayMs < SHORTEST_WAIT_MS) return;
    const now = performance.now();
    const wait = {host: hostIn(what), why: waitText(event), until: now + delayMs};
    // Of many uploads to one host the longest wait tells enough.
    const others = this.#waits.filter(({host, until}) => until > now && host !== wait.host);
    const known = this.#waits.find(({host, until}) => host === wait.host && until > wait.until);
    this.#waits = [...others, known ?? wait].slice(-MOST_WAITS);
  }

  #sum(of: (blob: {acknowledged: number; moved: number; size: number}) => number): number {
    let sum = 0;
    for (const blob of this.#underWay.values()) sum += of(blob);
    return sum;
  }
}

/** Why nothing is asked of a host for a while, in words. */
export function waitText({
  what,
  delayMs,
  isAsked,
  error: {code},
}: Pick<Extract<RunEvent, {type: 'retrying'}>, 'what' | 'delayMs' | 'isAsked'> & {
  readonly error: Pick<ErrorData, 'code'>;
}): string {
  const [host, seconds] = [hostIn(what), Math.ceil(delayMs / 1000)];
  if (code !== 'RATE_LIMITED') return `${host} failed (${code}), next try after ${seconds} s`;
  return isAsked === true
    ? `${host} asks for ${seconds} s of quiet`
    : `${host} limits requests, next try after ${seconds} s`;
}

function hostIn(what: string): string {
  const [, to] = / to (\S+)$/.exec(what) ?? [];
  if (to === undefined) return what;
  return isLocal(to) ? to : (to.split('/')[0] ?? to);
}
