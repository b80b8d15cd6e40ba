import type {RetryPolicy} from '../http/retry.ts';
import type {Redactor} from '../http/secrets.ts';

/** Where text goes. */
export interface TextSink {
  write(text: string): void;
}

/** The process as the commands see it: the only way in and out, so that a test can stand in for it. */
export interface Io {
  /** Answers. */
  readonly stdout: TextSink;
  /** Progress and messages. */
  readonly stderr: NodeJS.WritableStream & {readonly isTTY?: boolean; readonly columns?: number};
  /** What is piped in, opened when it is asked for. */
  readonly stdin?: () => AsyncIterable<Uint8Array>;
  /** Asks a yes or no; no is the default. Undefined: there is no terminal to ask at. */
  readonly ask?: (question: string) => Promise<boolean>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** The user's id; undefined where the system has none. */
  readonly uid: number | undefined;
  readonly now: () => Date;
  /** Blanks secrets out of everything that is written. */
  readonly redactor: Redactor;
  /** When requests are sent again. Default: the HTTP client's. */
  readonly retry?: RetryPolicy;
  /** Folders that must not outlive the process, as long as they are there. Default: nobody removes them at its end. */
  readonly temporary?: Set<string>;
  /** The first signal: finish what is under way. */
  readonly stopping: AbortSignal;
  /** The second: stop at once. */
  readonly aborted: AbortSignal;
}
