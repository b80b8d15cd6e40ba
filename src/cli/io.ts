import type {Timer} from '../apply/run-limits.ts';
import type {Patience} from '../gitlab/confirm.ts';
import type {RetryPolicy} from '../http/retry.ts';
import type {Redactor} from '../http/redaction.ts';
import {createInterface} from 'node:readline/promises';

/** Where text goes. */
export interface TextSink {
  write(text: string): void;
}

/** The process as the commands see it: the only way in and out, so that a test can stand in for it. */
export interface Io {
  /** Answers. */
  readonly stdout: TextSink;
  /** Columns of the terminal that answers go to; undefined: they go elsewhere. */
  readonly columns?: () => number | undefined;
  /** Progress and messages. */
  readonly stderr: NodeJS.WritableStream & {
    readonly isTTY?: boolean;
    readonly columns?: number;
    readonly rows?: number;
  };
  /** What is piped in, opened when it is asked for. */
  readonly stdin?: () => AsyncIterable<Uint8Array>;
  /** Asks a yes or no; no is the default. Undefined: there is no terminal to ask at. */
  readonly ask?: (question: string) => Promise<boolean>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** The user's id; undefined where the system has none. */
  readonly uid: number | undefined;
  readonly now: () => Date;
  /** Ends waits. Default: the system's. */
  readonly timer?: Timer;
  /** Blanks secrets out of everything that is written. */
  readonly redactor: Redactor;
  /** Requests and responses are written to stderr (`--debug`). */
  readonly isDebugging?: boolean;
  /** When requests are sent again. Default: the HTTP client's. */
  readonly retry?: RetryPolicy;
  /** How long to wait for what GitLab does. Default: the GitLab client's. */
  readonly patience?: Patience;
  /**
   * Directories that must not outlive the process, as long as they are there. Default: nobody removes them at its end.
   */
  readonly temporary?: Set<string>;
  /** Calls the listener whenever the user asks how far it is (SIGUSR2). @returns ends that */
  readonly onStateWanted?: (listener: () => void) => () => void;
  /** The first signal: finish what is under way. */
  readonly stopping: AbortSignal;
  /** The second: stop at once. */
  readonly aborted: AbortSignal;
}

/** Asks a yes or no at a terminal; everything but a yes is a no, so is the end of the input. */
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
 * What SIGINT and SIGTERM mean: the first asks for an orderly end, the second for an immediate one. The third waits for
 * nothing: the process is gone, as after a kill, from which a run recovers as well.
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
