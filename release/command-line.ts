import {PassThrough} from 'node:stream';
import type {Command} from 'commander';
import {describedProgram} from '../src/cli/program.ts';
import {Redactor} from '../src/http/redaction.ts';

/** The definitions of all commands. They describe; nothing of them is run. */
export async function commandLine(version: string): Promise<Command> {
  const never = new AbortController().signal;
  return await describedProgram(version, {
    stdout: {write: () => undefined},
    stderr: new PassThrough(),
    env: {},
    home: '/',
    uid: undefined,
    now: () => new Date(0),
    redactor: new Redactor(),
    stopping: never,
    aborted: never,
  });
}
