import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** A sandbox in a process of its own, as a user starts one. */
export interface RunningSandbox extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
}

/** Starts `transship sandbox` on a free port and waits until it says where it is. */
export async function startSandboxProcess(args: readonly string[]): Promise<RunningSandbox> {
  const child = spawn(process.execPath, [MAIN, 'sandbox', '--port', '0', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({input: child.stdout})) {
    console.log(`  ${line}`);
    const host = /registry on http:\/\/(\S+?)[,;]/.exec(line)?.[1];
    if (host !== undefined) return {host, [Symbol.asyncDispose]: () => stop(child)};
  }
  throw new Error('the sandbox ended before it was ready');
}

/** Runs one command line, shows it and what it prints. @returns the exit code */
export async function show(
  cwd: string,
  env: NodeJS.ProcessEnv,
  args: readonly string[],
): Promise<number> {
  console.log(`\n$ transship ${args.join(' ')}`);
  const child = spawn(process.execPath, [MAIN, ...args], {cwd, env, stdio: 'inherit'});
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) console.log(`(exit ${code})`);
  return code ?? 1;
}

/**
 * Runs one command line until it has written something that matches to stderr, and kills it then.
 * @returns whether it was killed, and had not ended before
 */
export async function showUntil(
  cwd: string,
  env: NodeJS.ProcessEnv,
  args: readonly string[],
  pattern: RegExp,
): Promise<boolean> {
  console.log(`\n$ transship ${args.join(' ')}`);
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env,
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  const ended = once(child, 'exit');
  for await (const line of createInterface({input: child.stderr})) {
    if (child.killed) continue;
    console.log(`  ${line}`);
    if (pattern.test(line)) child.kill('SIGKILL');
  }
  await ended;
  console.log('(killed with SIGKILL)');
  return child.signalCode === 'SIGKILL';
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}
