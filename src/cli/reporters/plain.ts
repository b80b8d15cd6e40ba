import type {RunEvent} from '../../model/event.ts';
import {errorLines} from '../print-error.ts';
import type {TextSink} from '../io.ts';
import {noticeText, observingText, progressText, projectText, retryText} from './progress-text.ts';
import {Rate} from './rate.ts';
import {printable} from '../../report/words.ts';
import type {StateReporter} from './choose.ts';
import type {LogSections} from './log-sections.ts';
import {RunTally} from './run-tally.ts';

/** The interval of summary lines, in ms, while a run continues: CI ends jobs without output. */
const EVERY_MS = 5_000;

interface PlainOptions {
  readonly sink: TextSink;
  /** Also write a line for each finished image. */
  readonly isVerbose?: boolean;
  /** Write only the state, on request. */
  readonly isSilent?: boolean;
  /** Sections of the log, if it can display them. */
  readonly sections?: LogSections;
}

/** Lines for logs: failures and notices immediately, and a progress line every few seconds. */
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

/** The result of an image, with a line break. */
function finishedText({step, outcome}: Extract<RunEvent, {type: 'step-ended'}>): string {
  return `${outcome}: ${printable(step.replace(/^copy:/, ''))}\n`;
}
