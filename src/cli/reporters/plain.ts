import type {Report, RunEvent} from '../../model/event.ts';
import {errorLines} from '../print-error.ts';
import type {TextSink} from '../io.ts';
import {
  noticeText,
  observingText,
  progressText,
  projectText,
  Rate,
  retryText,
} from './progress-text.ts';
import type {LogSections} from './log-sections.ts';
import {RunTally} from './run-tally.ts';

/** A summary line at most this often, and at least this often while a run goes on: CI kills silent jobs. */
const EVERY_MS = 5_000;

/**
 * Lines for logs: failures and notices at once, else one line of progress every few seconds.
 * @param sections of the log, if there is something that shows them
 */
export function plainReporter(
  sink: TextSink,
  sections?: LogSections,
): {
  readonly report: Report;
  readonly close: () => void;
} {
  const tally = new RunTally();
  const rate = new Rate(30_000);
  let observing = '';
  const line = (): void => {
    rate.sample(performance.now(), tally.travelled);
    if (!tally.isStarted) sink.write(`reading ${observing || 'source and destination'}\n`);
    else sink.write(`${progressText(tally, rate)}\n`);
  };
  const timer = setInterval(line, EVERY_MS);
  const report = (event: RunEvent): void => {
    tally.add(event);
    sections?.before(event);
    tell(event);
    sections?.after(event);
  };
  const tell = (event: RunEvent): void => {
    switch (event.type) {
      case 'observing':
        observing = observingText(event);
        break;
      case 'run-started':
        rate.sample(performance.now(), 0);
        break;
      case 'project-started':
        if (event.of > 1) sink.write(projectText(event));
        break;
      case 'project-ended':
        if (event.error) sink.write(`${event.from}\n${errorLines(event.error)}`);
        break;
      case 'step-ended':
        if (event.error) sink.write(`${event.step}\n${errorLines(event.error)}`);
        break;
      case 'retrying':
        sink.write(retryText(event));
        break;
      case 'notice':
        sink.write(noticeText(event));
        break;
      case 'step-started':
      case 'blob-started':
      case 'blob-progress':
      case 'blob-ended':
      case 'run-ended':
        break;
    }
  };
  const close = (): void => {
    clearInterval(timer);
    sections?.close();
  };
  return {report, close};
}
