import type {RunEvent} from '../../model/event.ts';
import type {Rate} from './rate.ts';
import {type RunTally, waitText} from './run-tally.ts';
import {formatBytes, formatDuration, printable} from '../../report/words.ts';

/**
 * The minimum number of bytes for an estimate of the remaining time, or one hundredth of all bytes if that is less:
 * configs arrive immediately, large chunks after seconds.
 */
const ENOUGH_TO_TELL = 1024 * 1024;

/** The progress of a run in one line. */
export function progressText(tally: RunTally, rate: Rate): string {
  const {phase, done, failed, images, moved, bytes} = tally;
  const {perSecond} = rate;
  const left = timeLeft(tally, rate);
  const speed =
    perSecond === undefined ? '' : `, ${formatBytes(perSecond)}/s${left ? `, ${left[0]}` : ''}`;
  const failures = failed === 0 ? '' : `, ${failed} failed`;
  const at = phase === '' ? '' : `${phase}: `;
  return `${at}${done} of ${images} images, ${formatBytes(moved)} of ${formatBytes(bytes)}${speed}${failures}`;
}

/** The remaining time, `26 s left`; undefined: unknown. */
export function timeLeft(tally: RunTally, {perSecond}: Rate): readonly [string] | undefined {
  const {bytes, moved, moving} = tally;
  const isTold = moving >= Math.min(ENOUGH_TO_TELL, bytes / 100);
  if (!perSecond || !isTold || moved >= bytes) return undefined;
  return [`${formatDuration(((bytes - moved) / perSecond) * 1000)} left`];
}

/** The progress of reading. */
export function observingText(event: Extract<RunEvent, {type: 'observing'}>): string {
  const {what, done, total, unit} = event;
  return `${printable(what)}: ${done} of ${total} ${unit ?? 'tags'}`;
}

/** The beginning of one of several projects, with a line break. */
export function projectText(event: Extract<RunEvent, {type: 'project-started'}>): string {
  const {from, to, number, of} = event;
  return `project ${number} of ${of}: ${printable(`${from} to ${to}`)}\n`;
}

/** A retry and its reason, with a line break. */
export function retryText(event: Extract<RunEvent, {type: 'retrying'}>): string {
  const {delayMs, what, error} = event;
  if (error.code === 'RATE_LIMITED')
    return `${printable(waitText(event))}: ${printable(error.message)}\n`;
  const seconds = Math.ceil(delayMs / 100) / 10;
  return `retrying in ${seconds} s: ${printable(`${what}: ${error.message}`)}\n`;
}

/** A notice, with a line break. */
export function noticeText({message}: Extract<RunEvent, {type: 'notice'}>): string {
  return `note: ${printable(message)}\n`;
}
