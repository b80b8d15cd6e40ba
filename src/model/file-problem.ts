/** Where something stands in a text file. */
export interface FilePosition {
  /** Counted from 1. */
  readonly line: number;
  /** Counted from 1, in UTF-16 code units. */
  readonly column: number;
}

/** One thing that is wrong with a file that somebody wrote by hand. */
export interface FileProblem extends FilePosition {
  readonly file: string;
  /** What is wrong, with the wrong value and what is allowed, as a clause without a full stop. */
  readonly message: string;
}

/** `file:line:column: message`, the form that editors and CI jump to. */
export function formatProblem({file, line, column, message}: FileProblem): string {
  return `${file}:${line}:${column}: ${message}`;
}
