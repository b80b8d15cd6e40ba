import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {cpus} from 'node:os';
import {dirname} from 'node:path';
import {type ProgramResult, runProgram} from '../support/program.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import type {Command} from './tool.ts';

/** What a command cost this machine. */
export interface Cost {
  readonly wallSeconds: number;
  /** User and system time of the command and of all that it started. */
  readonly cpuSeconds: number;
  /** What else this machine did in that time: the registries and the lines, if it is left alone otherwise. */
  readonly otherCpuSeconds: number;
  /** The largest resident size of any one process of it, in bytes. */
  readonly peakBytes: number;
}

/** Runs a command to its end under GNU time. @throws Error where it fails, with the end of its output */
export async function measure(command: Command, home: TempDirectory): Promise<Cost> {
  await using temp = await tempDirectory();
  const report = temp.join('cost');
  const busyBefore = busySeconds();
  const started = performance.now();
  const result = await run(
    {
      ...command,
      file: 'time',
      args: ['-q', '-f', '%U %S %M', '-o', report, command.file, ...command.args],
    },
    home,
  );
  const wallSeconds = (performance.now() - started) / 1000;
  const busy = busySeconds() - busyBefore;
  if (result.code !== 0) throw new Error(`exit ${result.code}: ${endOf(result)}`);
  const [user = 0, system = 0, peakKiB = 0] = (await readFile(report, 'utf8'))
    .split(' ')
    .map(Number);
  const cpuSeconds = user + system;
  return {
    wallSeconds,
    cpuSeconds,
    otherCpuSeconds: Math.max(0, busy - cpuSeconds),
    peakBytes: peakKiB * 1024,
  };
}

/** Time that all processors together have worked. */
function busySeconds(): number {
  const sum = cpus().reduce(
    (ms, {times}) => ms + times.user + times.nice + times.sys + times.irq,
    0,
  );
  return sum / 1000;
}

/** Runs a command until `kill` is aborted. @throws Error where it ends before */
export async function runUntilKilled(
  command: Command,
  home: TempDirectory,
  kill: AbortSignal,
): Promise<void> {
  const result = await run(command, home, kill);
  if (!kill.aborted) throw new Error(`it ended before it was killed: ${endOf(result)}`);
}

async function run(
  {file, args, stdin = '', settings = {}}: Command,
  home: TempDirectory,
  signal?: AbortSignal,
): Promise<ProgramResult> {
  for (const [path, text] of Object.entries(settings)) {
    await mkdir(dirname(home.join(path)), {recursive: true});
    await writeFile(home.join(path), text);
  }
  return await runProgram(file, args, {
    stdin,
    env: {HOME: home.path},
    ...(signal === undefined ? {} : {signal}),
  });
}

function endOf({stdout, stderr}: ProgramResult): string {
  return `${stdout}${stderr}`.trim().slice(-500);
}
