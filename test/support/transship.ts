import {Readable, Writable} from 'node:stream';
import type {Timer} from '../../src/apply/run-limits.ts';
import {runProgram} from '../../src/cli/program.ts';
import {redactedSink, redactedStream} from '../../src/cli/print-error.ts';
import type {Patience} from '../../src/gitlab/confirm.ts';
import {DEFAULT_RETRY, type RetryPolicy} from '../../src/http/retry.ts';
import {Redactor} from '../../src/http/redaction.ts';
import type {ProgramResult} from './program.ts';
import {NEVER} from './streams.ts';
import {sharedHome} from './home.ts';

export interface TransshipOptions {
  /** All that it sees of the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the one of `sharedHome`. */
  readonly home?: string;
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
export async function transship(
  args: readonly string[],
  options: TransshipOptions = {},
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
    // What one test copied is not to be mounted in another: only a home of its own keeps a cache.
    env: {...(options.home === undefined ? {TRANSSHIP_NO_CACHE: '1'} : {}), ...options.env},
    home: options.home ?? (await sharedHome()),
    uid: undefined,
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
