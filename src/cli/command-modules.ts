import type {Command} from 'commander';
import type {Io} from './io.ts';

/** Adds a command to the program. `done` is told the exit code of a run that went to its end. */
export type AddCommand = (program: Command, io: Io, done: (exitCode: number) => void) => void;

/** Each is loaded only where it is named: together they take longer to load than many a run. In the order of the help. */
const COMMANDS: Readonly<Record<string, () => Promise<AddCommand>>> = {
  copy: async () => (await import('./commands/copy.ts')).addCopy,
  plan: async () => (await import('./commands/plan.ts')).addPlan,
  inventory: async () => (await import('./commands/inventory.ts')).addInventory,
  show: async () => (await import('./commands/show.ts')).addShow,
  apply: async () => (await import('./commands/apply.ts')).addApply,
  verify: async () => (await import('./commands/verify.ts')).addVerify,
  status: async () => (await import('./commands/status.ts')).addStatus,
  rollback: async () => (await import('./commands/rollback.ts')).addRollback,
  sandbox: async () => (await import('./commands/sandbox.ts')).addSandbox,
};

/** The command that a command line names; all of them where it names none of them, for the help and its suggestions. */
export async function loadCommands(args: readonly string[]): Promise<readonly AddCommand[]> {
  const name = args.find((arg) => !arg.startsWith('-')) ?? '';
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load !== undefined) return [await load()];
  return await Promise.all(Object.values(COMMANDS).map((each) => each()));
}
