import {Command, CommanderError, Option} from 'commander';
import type {Io} from './io.ts';
import {interrupted, TransshipError} from '../model/error.ts';
import {addCompletion} from './completion.ts';
import {knownArguments} from './habits.ts';
import {type ErrorStyle, printError} from './print-error.ts';
import {isSwitchedOn, takeVariables, variableValue} from './variables.ts';

/** Adds a command to the program. `done` is called with the exit code of a completed run. */
export type AddCommand = (program: Command, io: Io, done: (exitCode: number) => void) => void;

/**
 * Commands, in the order of the help. Each is loaded on demand, because loading all of them takes longer than many
 * runs.
 */
const COMMANDS: Readonly<Record<string, () => Promise<AddCommand>>> = {
  copy: async () => (await import('./commands/copy.ts')).addCopy,
  plan: async () => (await import('./commands/plan.ts')).addPlan,
  inventory: async () => (await import('./commands/inventory.ts')).addInventory,
  show: async () => (await import('./commands/show.ts')).addShow,
  apply: async () => (await import('./commands/apply.ts')).addApply,
  verify: async () => (await import('./commands/verify.ts')).addVerify,
  status: async () => (await import('./commands/status.ts')).addStatus,
  pipeline: async () => (await import('./commands/pipeline.ts')).addPipeline,
  rollback: async () => (await import('./commands/rollback.ts')).addRollback,
  refs: async () => (await import('./commands/refs.ts')).addRefs,
  doctor: async () => (await import('./commands/doctor.ts')).addDoctor,
  explain: async () => (await import('./commands/explain.ts')).addExplain,
  sandbox: async () => (await import('./commands/sandbox.ts')).addSandbox,
};

/** The command that a command line names; if it names none, all commands, for the help and its suggestions. */
async function loadCommands(args: readonly string[]): Promise<readonly AddCommand[]> {
  const name = args.find((arg) => !arg.startsWith('-')) ?? '';
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load !== undefined) return [await load()];
  if (args[0] === '--version') return [];
  return await Promise.all(Object.values(COMMANDS).map((each) => each()));
}

/**
 * Runs a command line. All of its output goes through `io`.
 * @param given the arguments without the program's name
 * @returns the exit code
 */
export async function runProgram(
  given: readonly string[],
  version: string,
  process: Io,
): Promise<number> {
  let exitCode = 0;
  const style = errorStyle(given, process.env);
  const io: Io = {...process, isDebugging: style.debug};
  let args: readonly string[];
  try {
    args = knownArguments(given);
  } catch (error) {
    return printError(error, io.stderr, style, io.now());
  }
  const commands = await loadCommands(args);
  const program = buildProgram(commands, version, io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, {from: 'user'});
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      return printError(usageError(error, args), io.stderr, style, io.now());
    }
    return printError(
      isInterruption(error, io) ? interrupted() : error,
      io.stderr,
      style,
      io.now(),
    );
  }
}

/** The whole program, for documentation: nothing is run, and the environment is ignored. */
export async function describedProgram(version: string, io: Io): Promise<Command> {
  return buildProgram(await loadCommands([]), version, {...io, env: {}}, () => undefined);
}

function buildProgram(
  commands: readonly AddCommand[],
  version: string,
  io: Io,
  done: (exitCode: number) => void,
): Command {
  const program = new Command('transship')
    .description('Relocates container images: plan, review, apply, verify.')
    .version(version, '--version', 'print the version')
    .option('--debug', 'print requests, responses and the stack trace of errors, without secrets')
    .helpCommand(false)
    .showSuggestionAfterError()
    .addHelpText(
      'after',
      `
Exit codes: 0 done, 1 some images failed, 2 plan: work to do, verify: differences,
3 a check forbids it, 4 drift: plan again, 64 wrong usage, 130 interrupted.

A variable sets a flag that is not given: TRANSSHIP_MAX_BYTES for --max-bytes (docs/variables.md).`,
    );
  for (const add of commands) add(program, io, done);
  addCompletion(program, (text) => io.stdout.write(text), done);
  configure(program, io);
  takeVariables(program, io.env);
  return program;
}

/** In commander, subcommands do not inherit settings that are made after their creation. */
function configure(command: Command, io: Io): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => io.stdout.write(text),
    // `printError` prints the message, with side and hint.
    writeErr: () => undefined,
  });
  // Scripts pass `--yes` to every command, and most commands never ask. If the program accepted it, the commands would
  // not get it.
  if (command.parent !== null && command.options.every(({long}) => long !== '--yes'))
    command.addOption(new Option('--yes').hideHelp());
  for (const child of command.commands) configure(child, io);
}

/** Read from the raw arguments, because errors in them must be reported in the same style. */
export function errorStyle(args: readonly string[], env: Io['env']): ErrorStyle {
  const isJson = ['--progress', '--format'].some((flag) => valueOf(flag, args, env) === 'json');
  const debug = args.includes('--debug') || isSwitchedOn('--debug', env);
  return {form: isJson ? 'json' : 'text', debug};
}

/** The value of a flag, or else of its variable. */
function valueOf(flag: string, args: readonly string[], env: Io['env']): string | undefined {
  const at = args.findLastIndex((arg) => arg === flag || arg.startsWith(`${flag}=`));
  if (at < 0) return variableValue(flag, env);
  return args[at] === flag ? args[at + 1] : args[at]?.slice(flag.length + 1);
}

/** Whether a command was rejected with the reason of a signal. */
function isInterruption(error: unknown, {stopping, aborted}: Io): boolean {
  if (aborted.aborted) return true;
  return stopping.aborted && error instanceof DOMException && error.name === 'AbortError';
}

function usageError(error: CommanderError, args: readonly string[]): TransshipError {
  const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  return new TransshipError(
    'USAGE',
    message === '(outputHelp)' ? 'no command was given' : message,
    {
      side: 'local',
      hint: `see transship ${[...commandWords(args), '--help'].join(' ')}`,
    },
  );
}

/** The command that a command line names, with its subcommand. */
function commandWords(args: readonly string[]): readonly string[] {
  const [name = '', below = ''] = args.filter((arg) => !arg.startsWith('-'));
  if (!Object.hasOwn(COMMANDS, name)) return [];
  const isBelow = name === 'plan' && ['copy', 'transfer', 'delete'].includes(below);
  return isBelow ? [name, below] : [name];
}
