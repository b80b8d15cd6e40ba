import {readFileSync} from 'node:fs';
import {Redactor} from '../http/secrets.ts';
import type {Io} from './io.ts';
import {askAtTerminal} from './ask.ts';
import {V8_HEAP} from './heap.ts';
import {isRunning} from './is-running.ts';
import {runProgram} from './program.ts';
import {redactedSink, redactedStream} from './redacted.ts';
import {listenForSignals} from './signals.ts';
import {homeFolder} from './user-folders.ts';

/** Runs the command line of this process, and leaves its exit code with it. */
export async function start(): Promise<void> {
  const redactor = new Redactor();
  const {stdout, stderr} = process;

  const packageJson: unknown = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  const {version} = packageJson as {readonly version: string};

  using signals = listenForSignals(process);
  // A reader that went away (| head) is no failure of ours.
  stdout.on('error', () => undefined);
  stderr.on('error', () => undefined);

  const io: Io = {
    stdout: redactedSink(stdout, redactor),
    stderr: redactedStream(stderr, redactor),
    ...(stderr.isTTY && process.stdin.isTTY ? {ask: askAtTerminal(process.stdin, stderr)} : {}),
    env: process.env,
    home: homeFolder(),
    uid: process.getuid?.(),
    now: () => new Date(),
    redactor,
    processes: {pid: process.pid, isRunning: (pid) => isRunning(process, pid)},
    heap: V8_HEAP,
    stopping: signals.stopping,
    aborted: signals.aborted,
  };

  process.exitCode = await runProgram(process.argv.slice(2), version, io);
}
