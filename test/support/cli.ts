import {fileURLToPath} from 'node:url';
import {type ProgramOptions, type ProgramResult, runProgram} from './program.ts';
import {sharedHome} from './home.ts';

/** The program as a file for Node: as it is built, and where no test runner built it, its sources. */
export const MAIN =
  process.env['TRANSSHIP_TEST_MAIN'] ??
  fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** Runs transship as a user would, with the home of `sharedHome` unless `env.HOME` names one. */
export async function runCli(
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  return await runProgram(process.execPath, [MAIN, ...args], {
    ...options,
    // What is kept in a home that is gone afterwards is of no use.
    env: {HOME: await sharedHome(), NODE_DISABLE_COMPILE_CACHE: '1', ...options.env},
  });
}
