/** A position in a text file. */
export interface FilePosition {
  /** Counted from 1. */
  readonly line: number;
  /** Counted from 1, in UTF-16 code units. */
  readonly column: number;
}

/** One error in a file written by hand. */
export interface FileProblem extends FilePosition {
  readonly file: string;
  /** The error, with the wrong value and the allowed ones, as a clause without a full stop. */
  readonly message: string;
}

/** `file:line:column: message`, a form that editors and CI link to the position. */
export function formatProblem({file, line, column, message}: FileProblem): string {
  return `${file}:${line}:${column}: ${message}`;
}
