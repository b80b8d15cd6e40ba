import {spawn} from 'node:child_process';

/** More output than this is a defect of the test: the program is ended. Bytes, for each of the two streams. */
const OUTPUT_LIMIT = 64 * 1024 * 1024;
/** All that a program sees of the environment of the tests; credentials and proxies are not among it. */
const PASSED_ON = ['PATH', 'LANG', 'LC_ALL', 'TMPDIR', 'TZ'];

export interface ProgramResult {
  /** The exit code, or 128 + the number of the signal that ended it, as a shell has it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string;
  /** Kills the program; the result then has code 137. */
  readonly signal?: AbortSignal;
  /** Told what is written to stderr, as it is written. */
  readonly onStderr?: (text: string) => void;
  /** Called with the process when it runs, to send it a signal. */
  readonly onStart?: (program: {
    readonly pid: number;
    readonly kill: (signal: NodeJS.Signals) => void;
  }) => void;
}

const SIGNAL_NUMBERS: Partial<Record<NodeJS.Signals, number>> = {
  SIGINT: 2,
  SIGKILL: 9,
  SIGTERM: 15,
};

/**
 * Runs a program to its end with a clean environment. A failing program is a result, not an error.
 * @throws the error of `spawn` where the program cannot be started
 */
export async function runProgram(
  file: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: {...cleanEnvironment(), ...options.env},
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.signal === undefined ? {} : {signal: options.signal, killSignal: 'SIGKILL'}),
  });
  // A program that does not read its input closes it: that is its affair.
  child.stdin.on('error', () => {});
  child.stdin.end(options.stdin ?? '');
  const output = {stdout: '', stderr: ''};
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
      if (name === 'stderr') options.onStderr?.(text);
      if (output[name].length > OUTPUT_LIMIT) child.kill('SIGKILL');
    });
  }
  const code = await new Promise<number>((resolve, reject) => {
    child.once('spawn', () => {
      const {pid} = child;
      if (pid !== undefined) options.onStart?.({pid, kill: (signal) => void child.kill(signal)});
    });
    child.once('error', (error) => {
      // An abort is told as an error too; the program's end follows it.
      if (error.name !== 'AbortError') reject(error);
    });
    child.once('close', (exit, signal) => {
      resolve(exit ?? 128 + (signal === null ? 0 : (SIGNAL_NUMBERS[signal] ?? 0)));
    });
  });
  return {code, ...output};
}

/** The environment for programs that must not see the user's credentials, proxies and settings. */
export function cleanEnvironment(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of PASSED_ON) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}
