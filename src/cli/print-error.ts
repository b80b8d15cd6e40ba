import {ERROR_CODES, type ErrorCode} from '../model/error-codes.ts';
import {asTransshipError, type Side} from '../model/error.ts';
import type {ErrorData, Report} from '../model/event.ts';
import {formatProblem} from '../model/file-problem.ts';
import type {Io, TextSink} from './io.ts';
import type {Redactor} from '../http/redaction.ts';
import type {Plan} from '../model/plan.ts';
import {printable, printableJson} from '../report/words.ts';

const WHOSE: Readonly<Record<Side, string>> = {
  source: 'the source',
  destination: 'the destination',
  gitlab: 'GitLab',
  local: 'this machine',
};

/** Three lines: what is wrong, which side it is on, and what to do. */
export function errorLines({code, side, message, hint}: ErrorData): string {
  return `error: ${inOneLine(message)} [${code}]\n side: ${WHOSE[side]}\n hint: ${inOneLine(hint)}\n`;
}

/** Messages quote external text, which must not add lines or move the cursor. */
function inOneLine(text: string): string {
  return printable(text.replaceAll(/\s+/g, ' '));
}

/** How an error is printed. */
export interface ErrorStyle {
  /**
   * `json`: as an event, so that every line of `--progress json` is JSON, and with `--format json` the error is JSON.
   */
  readonly form: 'text' | 'json';
  /** Also print the stacks of the error and its causes. */
  readonly debug: boolean;
}

/**
 * Prints the error that ended a command.
 * @returns the exit code for it
 */
export function printError(
  thrown: unknown,
  stderr: TextSink,
  {form, debug}: ErrorStyle,
  now: Date = new Date(),
): number {
  const error = asTransshipError(thrown, 'local');
  const {code, side, retry, message, hint, problems} = error;
  const trace = debug ? {trace: traceOf(error)} : {};
  const found = problems.length === 0 ? {} : {problems};
  if (form === 'json') {
    const at = now.toISOString();
    const event = {
      type: 'error',
      at,
      error: {code, side, retry, message, hint, ...found},
      ...trace,
    };
    stderr.write(`${printableJson(event)}\n`);
  } else {
    for (const problem of problems) stderr.write(`${inOneLine(formatProblem(problem))}\n`);
    stderr.write(errorLines(error));
    if (isExplained(code)) stderr.write(` more: transship explain ${code}\n`);
    for (const line of trace.trace ?? []) stderr.write(`${printable(line)}\n`);
  }
  return ERROR_CODES[code];
}

/** Usage errors are fully explained by their hint, and a user who interrupts knows why. */
function isExplained(code: ErrorCode): boolean {
  return ERROR_CODES[code] !== 64 && ERROR_CODES[code] !== 130;
}

/** The stacks of an error and its causes, line by line. */
function traceOf(error: unknown): string[] {
  const lines: string[] = [];
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    lines.push(...`${depth === 0 ? '' : 'caused by '}${at.stack ?? String(at)}`.split('\n'));
  }
  return lines;
}

/** The last line of defence for results: redacts secrets in whatever is written. */
export function redactedSink(sink: TextSink, redactor: Redactor): TextSink {
  return {write: (text) => sink.write(redactor.redact(text))};
}

/** The same for a stream with more methods, such as a terminal with a progress bar. */
export function redactedStream(stream: Io['stderr'], redactor: Redactor): Io['stderr'] {
  return Object.assign(Object.create(stream) as Io['stderr'], {
    write: (text: string | Uint8Array) =>
      stream.write(typeof text === 'string' ? redactor.redact(text) : text),
  });
}

/** The maximum number of warnings. */
const MOST = 20;

/**
 * Reports what a plan without a review leaves out or changes. Moving tags is the purpose of a copy; all other findings
 * would go unnoticed.
 */
export function reportWarnings({checks}: Plan, report: Report): void {
  const warnings = checks.filter(({result, code}) => result === 'warn' && code !== 'TAG_MOVES');
  for (const {code, message} of warnings.slice(0, MOST)) report({type: 'notice', code, message});
  if (warnings.length > MOST) {
    const message = `and ${warnings.length - MOST} more warnings; "transship plan copy" shows all`;
    report({type: 'notice', code: 'SKIPPED', message});
  }
}
