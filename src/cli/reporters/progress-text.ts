import type {RunEvent} from '../../model/event.ts';
import type {RunTally} from './run-tally.ts';
import {formatBytes, printable} from '../../report/words.ts';

/**
 * So many bytes must have come before they say how long the others take, or a hundredth of all where that is less: a
 * config arrives at once, a large chunk after seconds.
 */
const ENOUGH_TO_TELL = 1024 * 1024;

/** How far a run is, on one line. */
export function progressText(tally: RunTally, rate: Rate): string {
  const {phase, stepsEnded, steps, acknowledged, bytes, stepsFailed, travelled} = tally;
  const {perSecond} = rate;
  const isTold = travelled >= Math.min(ENOUGH_TO_TELL, bytes / 100);
  const left =
    perSecond && isTold ? `, ${Math.ceil((bytes - acknowledged) / perSecond)} s left` : '';
  const speed = perSecond === undefined ? '' : `, ${formatBytes(perSecond)}/s${left}`;
  const failed = stepsFailed === 0 ? '' : `, ${stepsFailed} failed`;
  const at = phase === '' ? '' : `${phase}: `;
  return `${at}${stepsEnded} of ${steps} images, ${formatBytes(acknowledged)} of ${formatBytes(bytes)}${speed}${failed}`;
}

/** How far reading is. */
export function observingText(event: Extract<RunEvent, {type: 'observing'}>): string {
  const {what, done, total, unit} = event;
  return `${printable(what)}: ${done} of ${total} ${unit ?? 'tags'}`;
}

/** That a project of several is begun; ends the line. */
export function projectText(event: Extract<RunEvent, {type: 'project-started'}>): string {
  const {from, to, number, of} = event;
  return `project ${number} of ${of}: ${printable(`${from} to ${to}`)}\n`;
}

/** That something is tried again, and why; ends the line. */
export function retryText({delayMs, what, error}: Extract<RunEvent, {type: 'retrying'}>): string {
  const seconds = Math.ceil(delayMs / 100) / 10;
  return `retrying in ${seconds} s: ${printable(`${what}: ${error.message}`)}\n`;
}

/** A notice; ends the line. */
export function noticeText({message}: Extract<RunEvent, {type: 'notice'}>): string {
  return `note: ${printable(message)}\n`;
}

/** The rate of the last seconds, from absolute byte counts. */
export class Rate {
  readonly #windowMs: number;
  readonly #samples: {readonly at: number; readonly bytes: number}[] = [];

  constructor(windowMs = 10_000) {
    this.#windowMs = windowMs;
  }

  /** @param at ms, of any clock that only goes forward */
  sample(at: number, bytes: number): void {
    this.#samples.push({at, bytes});
    while ((this.#samples[1]?.at ?? at) < at - this.#windowMs) this.#samples.shift();
  }

  /** Bytes per second; undefined: not known yet. */
  get perSecond(): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.at === first.at) return undefined;
    return Math.max(0, ((last.bytes - first.bytes) * 1000) / (last.at - first.at));
  }
}
