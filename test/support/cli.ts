import {fileURLToPath} from 'node:url';
import {type ProgramOptions, type ProgramResult, runProgram} from './program.ts';
import {tempDirectory} from './temp.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** Runs transship from its sources, as a user would, with an empty home unless `env.HOME` names one. */
export async function runCli(
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  await using home = await tempDirectory();
  return await runProgram(process.execPath, [MAIN, ...args], {
    ...options,
    // What is kept in a home that is gone afterwards is of no use.
    env: {HOME: home.path, NODE_DISABLE_COMPILE_CACHE: '1', ...options.env},
  });
}
