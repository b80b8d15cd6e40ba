import {rmSync} from 'node:fs';
import {Redactor} from '../http/redaction.ts';
import {TransshipError} from '../model/error.ts';
import {VERSION} from '../model/product.ts';
import {askAtTerminal, type Io, listenForSignals} from './io.ts';
import {printError, redactedSink, redactedStream} from './print-error.ts';
import {errorStyle, runProgram} from './program.ts';
import {homeDirectory} from './user-directories.ts';

/** The exit code of Node if a module never settles. For a function it would be 0, as after success. */
const UNSETTLED = 13;

/** Node uses SIGUSR1 for its debugger; Windows has neither signal. */
function onUserSignal(listener: () => void): () => void {
  process.on('SIGUSR2', listener);
  return () => {
    process.off('SIGUSR2', listener);
  };
}

/** Runs the command line of this process, and sets its exit code. */
export async function start(): Promise<void> {
  const redactor = new Redactor();
  const {stdout, stderr} = process;

  using signals = listenForSignals(process);
  // A closed pipe (| head) is not an error, but a full disk is.
  let lost: NodeJS.ErrnoException | undefined;
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') lost ??= error;
  });
  stderr.on('error', () => undefined);

  const temporary = new Set<string>();
  process.once('exit', () => {
    for (const directory of temporary) rmSync(directory, {recursive: true, force: true});
  });

  const io: Io = {
    temporary,
    stdout: redactedSink(stdout, redactor),
    columns: () => (stdout.isTTY ? stdout.columns : undefined),
    stderr: redactedStream(stderr, redactor),
    stdin: () => process.stdin,
    ...(stderr.isTTY && process.stdin.isTTY ? {ask: askAtTerminal(process.stdin, stderr)} : {}),
    env: process.env,
    home: homeDirectory(),
    uid: process.getuid?.(),
    now: () => new Date(),
    redactor,
    ...(process.platform === 'win32' ? {} : {onStateWanted: onUserSignal}),
    stopping: signals.stopping,
    aborted: signals.aborted,
  };

  const args = process.argv.slice(2);
  process.exitCode = UNSETTLED;
  process.once('exit', (code) => {
    // Another failure tells more.
    if (lost === undefined || (code !== 0 && code !== 2)) return;
    process.exitCode = printError(outputLost(lost), io.stderr, errorStyle(args, io.env));
  });
  process.once('exit', (code) => {
    if (code !== UNSETTLED) return;
    const error = new Error(
      'internal error: nothing left to wait for, but the run has not finished',
    );
    process.exitCode = printError(error, io.stderr, errorStyle(args, io.env));
  });
  // Node would print the bare stack, without redaction and regardless of `--progress json`.
  process.once('uncaughtException', (error) => {
    process.exit(printError(error, io.stderr, errorStyle(args, io.env)));
  });
  const machine = `Node ${process.versions.node}, ${process.platform}-${process.arch}`;
  process.exitCode = await runProgram(args, `${VERSION} (${machine})`, io);
}

function outputLost(cause: Error): TransshipError {
  return new TransshipError('FILE_WRITE_FAILED', `the output cannot be written: ${cause.message}`, {
    side: 'local',
    hint: 'write it to a place with free space; what the command did is done',
    cause,
  });
}
