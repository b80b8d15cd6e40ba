import {ERROR_CODES} from '../model/error-codes.ts';
import {asTransshipError, type Side} from '../model/error.ts';
import type {ErrorData} from '../model/event.ts';
import type {TextSink} from './io.ts';

const WHOSE: Readonly<Record<Side, string>> = {
  source: 'the source',
  destination: 'the destination',
  gitlab: 'GitLab',
  local: 'this machine',
};

/** Three lines: what was wrong, whose side it is on, what to do. */
export function errorLines({code, side, message, hint}: ErrorData): string {
  return `error: ${message} [${code}]\n side: ${WHOSE[side]}\n hint: ${hint}\n`;
}

/**
 * Prints what ended a command.
 * @returns the exit code that belongs to it
 */
export function printError(thrown: unknown, stderr: TextSink, debug: boolean): number {
  const error = asTransshipError(thrown, 'local');
  stderr.write(errorLines(error));
  if (debug && error.stack) stderr.write(`${error.stack}\n`);
  return ERROR_CODES[error.code];
}
