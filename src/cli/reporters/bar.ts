import cliProgress, {type SingleBar} from 'cli-progress';
import {shortDigest} from '../../model/digest.ts';
import type {Report, RunEvent} from '../../model/event.ts';
import {formatBytes} from '../../report/bytes.ts';
import {errorLines} from '../print-error.ts';
import {Rate} from './rate.ts';
import {RunTally} from './run-tally.ts';

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
    barsize: 30,
    hideCursor: true,
    clearOnComplete: true,
    gracefulExit: false,
  });
  const tally = new RunTally();
  const rate = new Rate();
  const lines = new Map<string, SingleBar>();
  let total: SingleBar | undefined;
  const update = (): void => {
    rate.sample(performance.now(), tally.acknowledged);
    const detail = `${tally.stepsEnded}/${tally.steps} images, ${formatBytes(tally.acknowledged)} of ${formatBytes(tally.bytes)}, ${formatBytes(rate.perSecond ?? 0)}/s`;
    // Without bytes to move (all mounted) the images are what moves.
    const value = tally.bytes > 0 ? tally.acknowledged : tally.stepsEnded;
    total?.update(value, {name: 'all', detail});
  };
  const report = (event: RunEvent): void => {
    tally.add(event);
    switch (event.type) {
      case 'observing':
        total ??= bars.create(event.total, 0, {name: 'reading', detail: ''});
        total.setTotal(event.total);
        total.update(event.done, {
          name: 'reading',
          detail: `${event.what}: ${event.done} of ${event.total} tags`,
        });
        break;
      case 'run-started':
        total ??= bars.create(1, 0, {name: 'all', detail: ''});
        total.setTotal(Math.max(1, event.bytes > 0 ? event.bytes : event.steps));
        update();
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
        update();
        break;
      case 'blob-ended': {
        const bar = lines.get(`${event.digest} ${event.to}`);
        if (bar) bars.remove(bar);
        lines.delete(`${event.digest} ${event.to}`);
        update();
        break;
      }
      case 'step-ended':
        if (event.error) bars.log(`${event.step}\n${errorLines(event.error)}`);
        update();
        break;
      case 'notice':
        bars.log(`note: ${event.message}\n`);
        break;
      case 'retrying':
      case 'step-started':
      case 'run-ended':
        break;
    }
  };
  return {report, close: () => bars.stop()};
}
