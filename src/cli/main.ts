#!/usr/bin/env node
import {readFileSync} from 'node:fs';
import {homedir} from 'node:os';
import {Redactor} from '../http/secrets.ts';
import type {Io, TextSink} from './io.ts';
import {isRunning} from './is-running.ts';
import {runProgram} from './program.ts';
import {listenForSignals} from './signals.ts';

const redactor = new Redactor();
const {stdout, stderr} = process;

/** The last line of defence: whatever is written, no secret is in it. */
function redacted(sink: NodeJS.WriteStream): TextSink {
  return {write: (text) => void sink.write(redactor.redact(text))};
}

const packageJson: unknown = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
);
const {version} = packageJson as {readonly version: string};

using signals = listenForSignals(process);
// A reader that went away (| head) is no failure of ours.
stdout.on('error', () => undefined);
stderr.on('error', () => undefined);

const io: Io = {
  stdout: redacted(stdout),
  stderr: redactedStream(),
  env: process.env,
  home: homedir(),
  uid: process.getuid?.(),
  now: () => new Date(),
  redactor,
  processes: {pid: process.pid, isRunning: (pid) => isRunning(process, pid)},
  stopping: signals.stopping,
  aborted: signals.aborted,
};

process.exitCode = await runProgram(process.argv.slice(2), version, io);

function redactedStream(): Io['stderr'] {
  return Object.assign(Object.create(stderr) as Io['stderr'], {
    write: (text: string | Uint8Array) =>
      stderr.write(typeof text === 'string' ? redactor.redact(text) : text),
  });
}
