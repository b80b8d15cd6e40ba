import {needTool} from './debian-tool.ts';
import {type ProgramOptions, type ProgramResult, runProgram} from './program.ts';
import {tempDirectory} from './temp.ts';

/** Runs skopeo without a signature policy and with an empty home, so that no settings of the machine count. */
export async function skopeo(
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  await using home = await tempDirectory();
  return await runProgram(await needTool('skopeo'), ['--insecure-policy', ...args], {
    ...options,
    env: {HOME: home.path, REGISTRY_AUTH_FILE: home.join('auth.json'), ...options.env},
  });
}
