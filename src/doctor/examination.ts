import {TransshipError} from '../model/error.ts';

/** What was found out about one thing. */
export interface Finding {
  /** What was looked at; stable, for scripts: `tls`, `ranges`. */
  readonly check: string;
  /** `fail`: transship, or docker, does not work here. `warn`: it works worse, or will not work for long. */
  readonly result: 'pass' | 'warn' | 'fail';
  readonly finding: string;
  /** What it means, or what to do. */
  readonly hint?: string;
  /** The same in a word or two, for the matrix of features: `yes`, `by digest only`. */
  readonly brief?: string;
}

/** What was found out about a registry. */
export interface Examination {
  /** `host` or `host/path`. */
  readonly place: string;
  readonly findings: readonly Finding[];
}

export function passed(check: string, finding: string, brief?: string): Finding {
  return {check, result: 'pass', finding, ...briefly(brief)};
}

export function warned(check: string, finding: string, hint: string, brief?: string): Finding {
  return {check, result: 'warn', finding, hint, ...briefly(brief)};
}

export function failed(check: string, finding: string, hint: string, brief?: string): Finding {
  return {check, result: 'fail', finding, hint, ...briefly(brief)};
}

function briefly(brief: string | undefined): {readonly brief?: string} {
  return brief === undefined ? {} : {brief};
}

/** A check that a refusal or a broken connection fails. @throws what the signal ends */
export async function attempted(
  check: string,
  signal: AbortSignal,
  look: () => Promise<Finding | readonly Finding[]>,
): Promise<readonly Finding[]> {
  try {
    return [await look()].flat();
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof TransshipError)) throw error;
    return [failed(check, `${error.message} [${error.code}]`, error.hint)];
  }
}
