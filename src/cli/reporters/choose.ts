import type {Report} from '../../model/event.ts';
import type {Io, TextSink} from '../io.ts';
import {barReporter} from './bar.ts';
import {LogSections} from './log-sections.ts';
import {plainReporter} from './plain.ts';
import {printableJson} from '../../report/words.ts';

export const PROGRESS_KINDS = ['auto', 'bar', 'plain', 'json', 'none'] as const;
export type ProgressKind = (typeof PROGRESS_KINDS)[number];

/** A reporter that must be closed before anything else is printed. */
export interface OpenReporter extends Disposable {
  readonly report: Report;
}

/** `auto` is bars on a terminal and lines elsewhere, CI included. */
export function openReporter(
  kind: ProgressKind,
  {stderr, env, now}: Pick<Io, 'stderr' | 'env' | 'now'>,
): OpenReporter {
  const isTerminal = stderr.isTTY === true && env['CI'] === undefined && env['TERM'] !== 'dumb';
  const chosen = kind === 'auto' ? (isTerminal ? 'bar' : 'plain') : kind;
  switch (chosen) {
    case 'json':
      return {report: jsonReporter(stderr, now), [Symbol.dispose]: () => undefined};
    case 'none':
      return {report: () => undefined, [Symbol.dispose]: () => undefined};
    case 'plain': {
      // Also in a terminal of a runner: the log is looked at elsewhere.
      const sections = env['GITLAB_CI'] ? new LogSections(stderr, now) : undefined;
      const {report, close} = plainReporter(stderr, sections);
      return {report, [Symbol.dispose]: close};
    }
    case 'bar': {
      const {report, close} = barReporter(stderr);
      return {report, [Symbol.dispose]: close};
    }
  }
}

/** One JSON object for each event and line (NDJSON), as it happens, with its time. */
function jsonReporter(sink: TextSink, now: Io['now']): Report {
  return ({type, ...event}) =>
    sink.write(`${printableJson({type, at: now().toISOString(), ...event})}\n`);
}
