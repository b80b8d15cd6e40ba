import type {RunEvent} from '../../model/event.ts';
import {errorLines} from '../print-error.ts';
import type {TextSink} from '../io.ts';
import {noticeText, observingText, progressText, projectText, retryText} from './progress-text.ts';
import {Rate} from './rate.ts';
import {printable} from '../../report/words.ts';
import type {StateReporter} from './choose.ts';
import type {LogSections} from './log-sections.ts';
import {RunTally} from './run-tally.ts';

/** A summary line at most this often, and at least this often while a run goes on: CI kills silent jobs. */
const EVERY_MS = 5_000;

interface PlainOptions {
  readonly sink: TextSink;
  /** A line for each image that is finished, too. */
  readonly isVerbose?: boolean;
  /** Nothing is written but the state that is asked for. */
  readonly isSilent?: boolean;
  /** Of the log, if there is something that shows them. */
  readonly sections?: LogSections;
}

/** Lines for logs: failures and notices at once, else one line of progress every few seconds. */
export function plainReporter({
  sink,
  isVerbose = false,
  isSilent = false,
  sections,
}: PlainOptions): StateReporter {
  const tally = new RunTally();
  const rate = new Rate(30_000);
  let observing = '';
  const line = (): void => {
    rate.sample(performance.now(), tally.moving);
    if (tally.isStarted) sink.write(`${progressText(tally, rate)}\n`);
    else sink.write(observing === '' ? 'still reading\n' : `reading ${observing}\n`);
  };
  const timer = isSilent ? undefined : setInterval(line, EVERY_MS);
  const tell = (text: string): void => {
    if (!isSilent) sink.write(text);
  };
  const report = (event: RunEvent): void => {
    tally.add(event);
    sections?.before(event);
    tellOf(event);
    sections?.after(event);
  };
  const tellOf = (event: RunEvent): void => {
    switch (event.type) {
      case 'observing':
        observing = observingText(event);
        break;
      case 'run-started':
        rate.sample(performance.now(), 0);
        break;
      case 'project-started':
        if (event.of > 1) tell(projectText(event));
        break;
      case 'project-ended':
        if (event.error) tell(`${event.from}\n${errorLines(event.error)}`);
        break;
      case 'step-ended':
        if (event.error) tell(`${event.step}\n${errorLines(event.error)}`);
        else if (isVerbose && event.images === undefined) tell(finishedText(event));
        break;
      case 'retrying':
        tell(retryText(event));
        break;
      case 'notice':
        tell(noticeText(event));
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
  return {report, close, tellState: line};
}

/** What came of one image; ends the line. */
function finishedText({step, outcome}: Extract<RunEvent, {type: 'step-ended'}>): string {
  return `${outcome}: ${printable(step.replace(/^copy:/, ''))}\n`;
}
