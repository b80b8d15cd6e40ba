import {execFile} from 'node:child_process';

/** Output of a program that is more than this is a defect. Bytes. */
const OUTPUT_LIMIT = 256 * 1024 * 1024;

export interface RunOptions {
  readonly cwd?: string;
  /** All that the program sees of the environment. Default: everything. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Whether anything on stderr is a failure. */
  readonly silent?: boolean;
}

/** Runs a program to its end. @returns its stdout @throws Error with what it said, unless it ends with 0 */
export async function run(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  return (await runBytes(file, args, options)).toString('utf8');
}

/** As `run`, for a program that writes no text. */
export async function runBytes(
  file: string,
  args: readonly string[],
  {cwd, env = process.env, silent = false}: RunOptions = {},
): Promise<Buffer> {
  return await new Promise((resolve, reject) => {
    const limits = {maxBuffer: OUTPUT_LIMIT, encoding: 'buffer' as const};
    execFile(file, args, {cwd, env: {...env}, ...limits}, (error, stdout, stderr) => {
      if (error === null && (!silent || stderr.byteLength === 0)) resolve(stdout);
      else
        reject(new Error(`${[file, ...args].join(' ')} failed: ${String(stderr)}`, {cause: error}));
    });
  });
}

/** A call of npm, for `run`. */
export function npm(args: readonly string[]): readonly [string, readonly string[]] {
  // On Windows, npm is a script of the shell.
  return process.platform === 'win32' ? ['cmd', ['/c', 'npm', ...args]] : ['npm', args];
}

/** Whether a program is on the PATH of this machine. */
export async function isInstalled(program: string): Promise<boolean> {
  try {
    await run(program, ['--version']);
    return true;
  } catch {
    return false;
  }
}
