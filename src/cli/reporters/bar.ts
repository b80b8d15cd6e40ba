import type {RunEvent} from '../../model/event.ts';
import {errorLines} from '../print-error.ts';
import {Frame, type FrameStyle} from './frame.ts';
import type {StateReporter} from './choose.ts';
import {noticeText, projectText} from './progress-text.ts';
import {Rate} from './rate.ts';
import {RunTally} from './run-tally.ts';
import {Screen, type Terminal} from './screen.ts';

/** The interval between frames, in ms: short enough to show movement, long enough to read. */
const FRAME_MS = 250;

function stateText(lines: readonly string[]): string {
  return lines.length === 0
    ? 'nothing has started yet\n'
    : lines.map((line) => `${line}\n`).join('');
}

/** A screen at the bottom of a terminal, for a run of any size. Failures and notices are printed above it. */
export function barReporter(
  terminal: Terminal,
  style: FrameStyle,
  stopping?: AbortSignal,
): StateReporter {
  const tally = new RunTally();
  const rate = new Rate();
  const screen = new Screen(terminal);
  let observing: Extract<RunEvent, {type: 'observing'}> | undefined;
  let isEnded = false;
  const lines = (size = screen.size, look = style): readonly string[] => {
    const now = performance.now();
    const frame = new Frame(size, look);
    if (tally.isStarted) return frame.run(tally, rate, now, stopping?.aborted);
    if (observing === undefined) return [];
    const {what, done, total, unit = 'tags'} = observing;
    return frame.reading(what, done, total, unit);
  };
  /** Called for each frame, so that a falling rate is visible even without events. */
  const draw = (text = ''): void => {
    const now = performance.now();
    if (tally.isStarted) rate.sample(now, tally.moving);
    // Shows that a blob is stalled.
    for (const blob of tally.blobs.values()) blob.rate.sample(now, blob.moved);
    const drawn = isEnded ? [] : lines();
    // Before there is anything to draw, text is only printed.
    if (drawn.length === 0 && text !== '' && !tally.isStarted) terminal.write(text);
    else screen.draw(drawn, text);
  };
  const timer = setInterval(draw, FRAME_MS);
  const redraw = (): void => draw();
  terminal.on?.('resize', redraw);
  const report = (event: RunEvent): void => {
    tally.add(event);
    switch (event.type) {
      case 'observing':
        observing = event;
        break;
      case 'run-started':
        isEnded = false;
        rate.sample(performance.now(), 0);
        break;
      case 'step-ended':
        if (event.error) draw(`${event.step}\n${errorLines(event.error)}`);
        break;
      case 'notice':
        draw(noticeText(event));
        break;
      case 'project-started':
        if (event.of > 1) draw(projectText(event));
        break;
      case 'project-ended':
        if (event.error) draw(`${event.from}\n${errorLines(event.error)}`);
        break;
      case 'run-ended':
        isEnded = true;
        break;
      case 'retrying':
      case 'step-started':
      case 'blob-started':
      case 'blob-progress':
      case 'blob-ended':
        break;
    }
  };
  const close = (): void => {
    process.off('exit', close);
    clearInterval(timer);
    terminal.off?.('resize', redraw);
    screen.close();
  };
  // The third signal closes nothing; without this, the terminal would be left without a cursor.
  process.once('exit', close);
  const tellState = (): void =>
    draw(stateText(lines({columns: 120, rows: 200}, {...style, colors: false})));
  return {report, close, tellState};
}
