import {fileURLToPath} from 'node:url';
import {type ProgramOptions, type ProgramResult, runProgram} from './program.ts';
import {sharedHome} from './home.ts';

/** The program as a file for Node: as it is built, and where no test runner built it, its sources. */
export const MAIN =
  process.env['TRANSSHIP_TEST_MAIN'] ??
  fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/**
 * Variables with which processes share what V8 compiled of the program, as the runs of a user do: a fifth of a start.
 * Not in a home, which is gone after its test.
 */
export const COMPILE_CACHE: Readonly<Record<string, string>> = cacheIn(
  process.env['TRANSSHIP_TEST_COMPILED'],
);

function cacheIn(directory: string | undefined): Record<string, string> {
  return directory === undefined
    ? {NODE_DISABLE_COMPILE_CACHE: '1'}
    : {NODE_COMPILE_CACHE: directory};
}

/** Runs transship as a user would, with the home of `sharedHome` unless `env.HOME` names one. */
export async function runCli(
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  return await runProgram(process.execPath, [MAIN, ...args], {
    ...options,
    env: {
      // What one test copied is not to be mounted in another: only a home of its own keeps a cache.
      ...(options.env?.['HOME'] === undefined ? {TRANSSHIP_NO_CACHE: '1'} : {}),
      HOME: await sharedHome(),
      ...COMPILE_CACHE,
      ...options.env,
    },
  });
}
