import cliProgress, {type SingleBar} from 'cli-progress';
import {shortDigest} from '../../model/digest.ts';
import type {Report, RunEvent} from '../../model/event.ts';
import {errorLines} from '../print-error.ts';
import {
  noticeText,
  observingText,
  progressText,
  projectText,
  Rate,
  retryText,
} from './progress-text.ts';
import {RunTally} from './run-tally.ts';
import {formatBytes} from '../../report/words.ts';

/** Blobs that get a line of their own; smaller ones are gone before anybody could read it. */
const WORTH_A_LINE = 4 * 1024 * 1024;
/** Lines at once. */
const MOST_LINES = 8;

/** Bars on a terminal: one for the run, one for each large blob that is on its way. */
export function barReporter(stream: NodeJS.WritableStream): {
  readonly report: Report;
  readonly close: () => void;
} {
  const bars = new cliProgress.MultiBar({
    stream,
    format: '{name} {bar} {percentage}% {detail}',
    // Leaves room for the text on 80 columns.
    barsize: 10,
    hideCursor: true,
    clearOnComplete: true,
    gracefulExit: false,
    // What is logged above the bars pushes them down, changed or not.
    forceRedraw: true,
  });
  const tally = new RunTally();
  const rate = new Rate();
  const lines = new Map<string, SingleBar>();
  let total: SingleBar | undefined;
  /** With each frame, so that a rate that falls is seen although nothing happens. */
  const update = (): void => {
    if (total === undefined || !tally.isStarted) return;
    rate.sample(performance.now(), tally.travelled);
    // Without bytes to move (all mounted) the images are what moves.
    const isOfBytes = tally.bytes > 0;
    total.setTotal(isOfBytes ? tally.bytes : Math.max(1, tally.steps));
    const value = isOfBytes ? tally.acknowledged : tally.stepsEnded;
    total.update(value, {name: 'all', detail: progressText(tally, rate)});
  };
  bars.on('update-pre', update);
  /** Above the bars; they draw it with their next frame. */
  const log = (text: string): void => {
    if (total === undefined) stream.write(text);
    else bars.log(text);
  };
  const report = (event: RunEvent): void => {
    tally.add(event);
    switch (event.type) {
      case 'observing':
        total ??= bars.create(event.total, 0, {name: 'reading', detail: ''});
        total.setTotal(event.total);
        total.update(event.done, {
          name: 'reading',
          detail: observingText(event),
        });
        break;
      case 'run-started':
        total ??= bars.create(1, 0, {name: 'all', detail: ''});
        rate.sample(performance.now(), 0);
        break;
      case 'blob-started':
        if (event.size >= WORTH_A_LINE && lines.size < MOST_LINES) {
          const detail = formatBytes(event.size);
          lines.set(
            `${event.digest} ${event.to}`,
            bars.create(event.size, 0, {name: shortDigest(event.digest), detail}),
          );
        }
        break;
      case 'blob-progress':
        lines.get(`${event.digest} ${event.to}`)?.update(event.acknowledged);
        break;
      case 'blob-ended': {
        const bar = lines.get(`${event.digest} ${event.to}`);
        if (bar) bars.remove(bar);
        lines.delete(`${event.digest} ${event.to}`);
        break;
      }
      case 'step-ended':
        if (event.error) log(`${event.step}\n${errorLines(event.error)}`);
        break;
      case 'notice':
        log(noticeText(event));
        break;
      case 'retrying':
        log(retryText(event));
        break;
      case 'project-started':
        if (event.of > 1) log(projectText(event));
        break;
      case 'project-ended':
        if (event.error) log(`${event.from}\n${errorLines(event.error)}`);
        break;
      case 'step-started':
      case 'run-ended':
        break;
    }
  };
  const close = (): void => {
    process.off('exit', close);
    // What was logged since the last frame.
    if (total !== undefined) bars.update();
    bars.stop();
  };
  // The third signal closes nothing: without this the terminal would be left without a cursor.
  process.once('exit', close);
  return {report, close};
}
