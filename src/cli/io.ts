import type {Timer} from '../apply/run-limits.ts';
import type {Patience} from '../gitlab/confirm.ts';
import type {RetryPolicy} from '../http/retry.ts';
import type {Redactor} from '../http/redaction.ts';
import {createInterface} from 'node:readline/promises';

/** A destination for text. */
export interface TextSink {
  write(text: string): void;
}

/** The process as the commands see it. All input and output goes through it, so that tests can replace it. */
export interface Io {
  /** For results. */
  readonly stdout: TextSink;
  /** The columns of the terminal that shows results; undefined: they do not go to a terminal. */
  readonly columns?: () => number | undefined;
  /** For progress and messages. */
  readonly stderr: NodeJS.WritableStream & {
    readonly isTTY?: boolean;
    readonly columns?: number;
    readonly rows?: number;
  };
  /** The piped input, opened on demand. */
  readonly stdin?: () => AsyncIterable<Uint8Array>;
  /** Asks a yes-or-no question; the default is no. Undefined: there is no terminal. */
  readonly ask?: (question: string) => Promise<boolean>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** The user's ID; undefined: the system has none. */
  readonly uid: number | undefined;
  readonly now: () => Date;
  /** Timer for waits. Default: the system's. */
  readonly timer?: Timer;
  /** Redacts secrets in all output. */
  readonly redactor: Redactor;
  /** Requests and responses are written to stderr (`--debug`). */
  readonly isDebugging?: boolean;
  /** The retry policy. Default: that of the HTTP client. */
  readonly retry?: RetryPolicy;
  /** How long to wait for GitLab. Default: that of the GitLab client. */
  readonly patience?: Patience;
  /** Existing directories that must be removed when the process ends. Default: they are not removed. */
  readonly temporary?: Set<string>;
  /** Calls the listener whenever the user requests the state (SIGUSR2). @returns a function that stops that */
  readonly onStateWanted?: (listener: () => void) => () => void;
  /** Aborted by the first signal: finish what is under way. */
  readonly stopping: AbortSignal;
  /** Aborted by the second signal: stop immediately. */
  readonly aborted: AbortSignal;
}

/** Asks a yes-or-no question at a terminal. Everything except a yes is a no, including the end of input. */
export function askAtTerminal(
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
): (question: string) => Promise<boolean> {
  return async (question) => {
    const lines = createInterface({input, output});
    const ended = new AbortController();
    lines.once('close', () => ended.abort());
    try {
      const answer = await lines.question(`${question} [y/N] `, {signal: ended.signal});
      return /^y(?:es)?$/i.test(answer.trim());
    } catch (error) {
      if (ended.signal.aborted) return false;
      throw error;
    } finally {
      lines.close();
    }
  };
}

/**
 * Handles SIGINT and SIGTERM: the first signal requests an orderly end, the second an immediate one. The third ends the
 * process without waiting, as SIGKILL does, after which a run can be resumed as well.
 */
export interface Signals extends Disposable {
  readonly stopping: AbortSignal;
  readonly aborted: AbortSignal;
}

export function listenForSignals(process: NodeJS.Process): Signals {
  const stopping = new AbortController();
  const aborted = new AbortController();
  const onSignal = (): void => {
    if (aborted.signal.aborted) process.exit(130);
    if (stopping.signal.aborted) aborted.abort(new DOMException('interrupted', 'AbortError'));
    else stopping.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    stopping: stopping.signal,
    aborted: aborted.signal,
    [Symbol.dispose]: () => {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    },
  };
}
