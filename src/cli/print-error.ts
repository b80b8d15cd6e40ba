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

/** Three lines: what was wrong, whose side it is on, what to do. */
export function errorLines({code, side, message, hint}: ErrorData): string {
  return `error: ${inOneLine(message)} [${code}]\n side: ${WHOSE[side]}\n hint: ${inOneLine(hint)}\n`;
}

/** Messages quote what came from outside: it must neither add lines nor move the cursor. */
function inOneLine(text: string): string {
  return printable(text.replaceAll(/\s+/g, ' '));
}

/** How what ended a command is told. */
export interface ErrorStyle {
  /** `json`: as one more event, so that every line of `--progress json` is JSON, and with `--format json` the error is. */
  readonly form: 'text' | 'json';
  /** Where it came from, too: its stack, and those of its causes. */
  readonly debug: boolean;
}

/**
 * Prints what ended a command.
 * @returns the exit code that belongs to it
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

/** Wrong usage says all in its hint, and whoever interrupts knows why. */
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

/** The last line of defence for answers: whatever is written, no secret is in it. */
export function redactedSink(sink: TextSink, redactor: Redactor): TextSink {
  return {write: (text) => sink.write(redactor.redact(text))};
}

/** The same for a stream that is more than a sink: a terminal that bars are drawn on. */
export function redactedStream(stream: Io['stderr'], redactor: Redactor): Io['stderr'] {
  return Object.assign(Object.create(stream) as Io['stderr'], {
    write: (text: string | Uint8Array) =>
      stream.write(typeof text === 'string' ? redactor.redact(text) : text),
  });
}

/** More would be read by nobody. */
const MOST = 20;

/**
 * Tells what a plan that nobody reviews leaves out or changes. That a tag moves is what a copy is for; all else that
 * the checks found would pass unseen.
 */
export function reportWarnings({checks}: Plan, report: Report): void {
  const warnings = checks.filter(({result, code}) => result === 'warn' && code !== 'TAG_MOVES');
  for (const {code, message} of warnings.slice(0, MOST)) report({type: 'notice', code, message});
  if (warnings.length > MOST) {
    const message = `and ${warnings.length - MOST} more warnings; "transship plan copy" shows all`;
    report({type: 'notice', code: 'SKIPPED', message});
  }
}
