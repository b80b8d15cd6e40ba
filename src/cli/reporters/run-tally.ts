import {shortDigest} from '../../model/digest.ts';
import type {ErrorData, RunEvent} from '../../model/event.ts';
import {isLocal} from '../../model/place.ts';
import {Rate} from './rate.ts';

/** A blob that is being copied. */
export interface ActiveBlob {
  /** The image that needs it, or its destination. */
  readonly name: string;
  /** Bytes that the destination has, or that are being sent. */
  readonly moved: number;
  readonly acknowledged: number;
  readonly size: number;
  readonly rate: Rate;
}

/** A wait. */
export interface Wait {
  /** The host that requested it. */
  readonly host: string;
  /** The reason, for people. */
  readonly why: string;
  /** Its end, in ms of `performance.now`. */
  readonly until: number;
}

/** The maximum number of waits, so that they do not fill the screen. */
const MOST_WAITS = 8;
/** The minimum duration of displayed waits, in ms: nobody can read shorter ones. */
const SHORTEST_WAIT_MS = 1000;

/** Totals for progress. Byte counts are absolute, so an upload that restarts lowers them. */
export class RunTally {
  /** Steps that are done or failed. Steps that an interrupted run leaves are still to do. */
  stepsEnded = 0;
  /** The current step of a transfer, which copies all images once or twice. Empty: a copy, or no step has begun. */
  phase = '';
  isStarted = false;
  /** Bytes that the destination acknowledged in this run, without mounts and what it had before. */
  travelled = 0;
  /** Images that are done, in this run or before, and that failed. */
  done = 0;
  failed = 0;
  /** Retries of requests and uploads. */
  retries = 0;
  /** The beginning of the run, in ms of `performance.now`. */
  began = 0;
  readonly blobs = new Map<string, ActiveBlob>();
  #waits: Wait[] = [];
  #steps = 0;
  #images: number | undefined;
  #bytes = 0;
  /** Bytes of blobs that are finished, in this run or before. */
  #endedBytes = 0;
  readonly #underWay = new Map<
    string,
    {readonly acknowledged: number; readonly moved: number; readonly size: number}
  >();

  /** All steps; never less than have ended, because a transfer may include more. */
  get steps(): number {
    return Math.max(this.#steps, this.stepsEnded);
  }

  /** The images among the steps; never less than have ended. */
  get images(): number {
    return Math.max(this.#images ?? this.#steps, this.done + this.failed);
  }

  /**
   * All bytes to send, including those that were sent. More than announced if a registry does not mount a blob, or has
   * lost one.
   */
  get bytes(): number {
    return Math.max(this.#bytes, this.#endedBytes + this.#sum(({size}) => size));
  }

  /** The part of `bytes` that the destination has. */
  get acknowledged(): number {
    return this.#endedBytes + this.#sum(({acknowledged}) => acknowledged);
  }

  /** The same, including bytes that are being sent, so that it changes within a chunk. */
  get moved(): number {
    return this.#endedBytes + this.#sum(({moved}) => moved);
  }

  /** `travelled`, including bytes that are being sent, for the rate. */
  get moving(): number {
    return this.travelled + this.#sum(({acknowledged, moved}) => moved - acknowledged);
  }

  /** The current waits, the longest first. */
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
        // The destination keeps the bytes of a blob that failed.
        if (event.outcome === 'failed') break;
        // A mount instead of a copy: its bytes were announced. Bytes of planned mounts were not.
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
    // The first event of a blob contains its offset: an earlier run may have sent much of it.
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
    // For many uploads to one host, the longest wait is sufficient.
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

/** Why no requests are sent to a host for a while. */
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
