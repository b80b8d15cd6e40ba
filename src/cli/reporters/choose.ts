import type {Report} from '../../model/event.ts';
import {printableJson} from '../../report/words.ts';
import type {Io, TextSink} from '../io.ts';
import {barReporter} from './bar.ts';
import type {FrameStyle} from './frame.ts';
import {LogSections} from './log-sections.ts';
import {plainReporter} from './plain.ts';

export const PROGRESS_KINDS = ['auto', 'bar', 'plain', 'json', 'none'] as const;
export type ProgressKind = (typeof PROGRESS_KINDS)[number];

export const COLOR_CHOICES = ['auto', 'always', 'never'] as const;

/** How progress is displayed. */
export interface ProgressFlags {
  readonly progress: ProgressKind;
  readonly color?: (typeof COLOR_CHOICES)[number];
  /** A line for each finished image; only for lines. */
  readonly verbose?: boolean;
}

/** A reporter that can print the current state. */
export interface StateReporter {
  readonly report: Report;
  readonly close: () => void;
  /** Prints the state, on request by a signal. */
  readonly tellState: () => void;
}

/** A reporter that must be closed before anything else is printed. */
export interface OpenReporter extends Disposable {
  readonly report: Report;
}

/** `auto` is a screen on a terminal, and lines elsewhere, including CI. */
export function openReporter(
  {progress, color = 'auto', verbose = false}: ProgressFlags,
  io: Pick<Io, 'stderr' | 'env' | 'now' | 'onStateWanted' | 'isDebugging'> &
    Partial<Pick<Io, 'stopping'>>,
): OpenReporter {
  const {stderr, env, stopping, isDebugging} = io;
  const isTerminal = stderr.isTTY === true && env['CI'] === undefined && env['TERM'] !== 'dumb';
  const chosen = progress === 'auto' ? (isTerminal ? 'bar' : 'plain') : progress;
  // Text that is printed between frames would damage the screen.
  const hasScreen = chosen === 'bar' && isDebugging !== true;
  const {report, close, tellState} = hasScreen
    ? barReporter(stderr, styleOf(color, io), stopping)
    : linesReporter(chosen === 'bar' ? 'plain' : chosen, verbose, io);
  const forget = io.onStateWanted?.(tellState);
  return {
    report,
    [Symbol.dispose]: () => {
      forget?.();
      close();
    },
  };
}

function linesReporter(
  kind: Exclude<ProgressKind, 'auto' | 'bar'>,
  isVerbose: boolean,
  {stderr, env, now}: Pick<Io, 'stderr' | 'env' | 'now'>,
): StateReporter {
  switch (kind) {
    case 'json':
      return jsonReporter(stderr, now);
    case 'none':
      // It prints the state on request by a signal.
      return plainReporter({sink: stderr, isSilent: true});
    case 'plain': {
      // Also if the CI runner has a terminal, because its log is read elsewhere.
      const sections = env['GITLAB_CI'] ? new LogSections(stderr, now) : undefined;
      return plainReporter({sink: stderr, isVerbose, ...(sections ? {sections} : {})});
    }
  }
}

/** @see https://no-color.org */
function styleOf(
  color: NonNullable<ProgressFlags['color']>,
  {stderr, env}: Pick<Io, 'stderr' | 'env'>,
): FrameStyle {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '';
  const isWanted = stderr.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  return {
    colors: color === 'always' || (color === 'auto' && isWanted),
    unicode: /utf-?8/i.test(locale),
  };
}

/** One JSON object for each event and line (NDJSON), with its time. */
function jsonReporter(sink: TextSink, now: Io['now']): StateReporter {
  return {
    report: ({type, ...event}) =>
      sink.write(`${printableJson({type, at: now().toISOString(), ...event})}\n`),
    close: () => undefined,
    // The events contain the state.
    tellState: () => undefined,
  };
}
