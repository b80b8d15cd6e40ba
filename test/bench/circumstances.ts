import {cpus, release, tmpdir, totalmem, type} from 'node:os';
import {runProgram} from '../support/program.ts';
import {needTool} from '../support/debian-tool.ts';
import {tempDirectory} from '../support/temp.ts';
import type {Tool} from './tool.ts';

/** A tool that is here, with what it says of its version. */
export interface FoundTool {
  readonly tool: Tool;
  readonly version: string;
}

/** Undefined: the tool is not on this machine. */
export async function findTool(tool: Tool): Promise<FoundTool | undefined> {
  await using home = await tempDirectory();
  try {
    const {code, stdout} = await runProgram(tool.program, tool.versionArgs, {
      env: {HOME: home.path},
    });
    return code === 0 ? {tool, version: versionIn(stdout)} : undefined;
  } catch {
    return undefined;
  }
}

/** Lines for the page. */
export async function describeMachine(tools: readonly FoundTool[]): Promise<readonly string[]> {
  const processors = cpus();
  const registry = await runProgram(await needTool('docker-registry'), ['--version']);
  return [
    `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ` +
      `${type()} ${release()}; the registries' storage is in ${tmpdir()}`,
    `docker-registry: ${versionIn(registry.stdout)}, two processes on the same machine`,
    `node ${process.version}`,
    ...tools.map(({tool, version}) => `${tool.name}: ${version} (\`${tool.install}\`)`),
  ];
}

function versionIn(text: string): string {
  return /\d+\.\d+\S*/.exec(text)?.[0] ?? text.trim();
}
