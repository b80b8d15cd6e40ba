import {Readable, Writable} from 'node:stream';
import type {Timer} from '../../src/apply/run-limits.ts';
import {runProgram} from '../../src/cli/program.ts';
import {redactedSink, redactedStream} from '../../src/cli/print-error.ts';
import type {Patience} from '../../src/gitlab/confirm.ts';
import {DEFAULT_RETRY, type RetryPolicy} from '../../src/http/retry.ts';
import {Redactor} from '../../src/http/redaction.ts';
import type {ProgramResult} from './program.ts';
import {NEVER} from './streams.ts';

/** What a command line finds, and what happens to it. */
export interface HereOptions {
  /** All that it sees of the environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly home: string;
  /** The user's id. Default: none. */
  readonly uid?: number;
  /** What is piped in. */
  readonly stdin?: string;
  /** Answers what is asked at the terminal. Default: there is none. */
  readonly ask?: (question: string) => Promise<boolean>;
  /** The first signal. */
  readonly stopping?: AbortSignal;
  /** The second. */
  readonly aborted?: AbortSignal;
  /** Ends waits. Default: the system's. */
  readonly timer?: Timer;
  /** When requests are sent again. Default: at once. */
  readonly retry?: RetryPolicy;
  /** How long to wait for what GitLab does. */
  readonly patience?: Patience;
  /** Told what is written to stderr, as it is written. */
  readonly onStderr?: (text: string) => void;
}

/** Runs a command line in this process: all of the program but what `start.ts` takes from the process. */
export async function runHere(
  args: readonly string[],
  options: HereOptions,
): Promise<ProgramResult> {
  const redactor = new Redactor();
  const output = {stdout: '', stderr: ''};
  const stderr = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      output.stderr += chunk;
      options.onStderr?.(chunk);
      done();
    },
  });
  const stdout = {
    write: (text: string) => {
      output.stdout += text;
    },
  };
  const code = await runProgram(args, '0.0.0', {
    stdout: redactedSink(stdout, redactor),
    stderr: redactedStream(stderr, redactor),
    ...(options.ask ? {ask: options.ask} : {}),
    stdin: () => Readable.from([Buffer.from(options.stdin ?? '')]),
    env: options.env ?? {},
    home: options.home,
    uid: options.uid,
    now: () => new Date(),
    ...(options.timer ? {timer: options.timer} : {}),
    redactor,
    ...(options.patience ? {patience: options.patience} : {}),
    retry: options.retry ?? {...DEFAULT_RETRY, baseMs: 0},
    stopping: options.stopping ?? NEVER,
    aborted: options.aborted ?? NEVER,
  });
  return {code, ...output};
}
