import type {ProgramResult} from './program.ts';

/** What a command says when it ends with an error. */
export interface ToldError {
  readonly code: string;
  readonly exit: number;
  readonly side: string;
  readonly message: string;
  readonly hint: string;
}

const FORM =
  /^error: (.+) \[([A-Z0-9_]+)\]\n side: (.+)\n hint: (.+)\n(?: more: transship explain \2\n)?$/;

/** What is told while a request is tried again, and on a slow machine while source and destination are read. */
const PROGRESS =
  /^(?:(?:still reading|reading .+|retrying in .+|\S+ (?:asks for \d+ s of quiet|limits requests, next try after \d+ s): .+)\n)*/;

/**
 * Reads the three lines of an error from stderr, or with `--format json` its line of JSON, which what was tried again
 * may precede.
 * @throws Error where stderr holds anything else, or stdout anything at all
 */
export function toldError({code: exit, stdout, stderr}: ProgramResult): ToldError {
  const text = stderr.replace(PROGRESS, '');
  if (text.startsWith('{') && stdout === '') {
    const {error} = JSON.parse(text) as {readonly error: Omit<ToldError, 'exit'>};
    return {...error, exit};
  }
  const [, message = '', code = '', side = '', hint = ''] = FORM.exec(text) ?? [];
  if (code === '' || stdout !== '')
    throw new Error(`not an error in three lines (exit ${exit}): ${stdout}${stderr}`);
  return {code, exit, side, message, hint};
}
