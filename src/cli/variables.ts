import {type Command, InvalidArgumentError, type Option} from 'commander';
import type {Environment} from '../http/proxy.ts';

/**
 * Flags without a variable. Flags that allow a run to delete, to exceed its plan, or to write where the command
 * otherwise only reads, are decisions about one run: a variable would apply to all runs.
 */
const FLAGS_ONLY = new Set([
  '--yes',
  '--delete-source',
  '--adopt-new-tags',
  '--remove-donor',
  '--apply',
  '--write',
]);

/** Flags of single commands that have another meaning elsewhere, or whose variable has another name. */
const FLAGS_ONLY_OF: Readonly<Record<string, ReadonlySet<string>>> = {
  verify: new Set(['--donor']),
};

/** Flags whose variables have other names: see `namedGitLab`. */
const NAMED_OTHERWISE = new Set(['--gitlab']);

/** Commands whose flags have no variables. */
const COMMANDS_ONLY = new Set(['sandbox']);

/** Parsers of flags that may be repeated. */
const LISTS = new WeakSet<object>();

/** Marks the parser of a flag that may be repeated: a variable contains its values, separated by commas. */
export function repeatable<T extends (value: string, before?: never) => unknown>(parse: T): T {
  LISTS.add(parse);
  return parse;
}

/** The variable of a flag: TRANSSHIP_MAX_BYTES for `--max-bytes`. */
function variableOf(flag: string): string {
  return `TRANSSHIP_${flag.slice(2).toUpperCase().replaceAll('-', '_')}`;
}

/** Whether the variable of a flag without a value enables it; undefined: the text is invalid. */
function isOn(text: string): boolean | undefined {
  if (/^(?:1|true|yes)$/i.test(text)) return true;
  return /^(?:0|false|no)$/i.test(text) ? false : undefined;
}

/** Whether a variable enables a flag that must be known before the flags are parsed. */
export function isSwitchedOn(flag: string, env: Environment): boolean {
  return isOn(env[variableOf(flag)] ?? '') === true;
}

/** The value of a flag's variable; undefined: not set. */
export function variableValue(flag: string, env: Environment): string | undefined {
  return env[variableOf(flag)] || undefined;
}

/**
 * Sets every flag that is not on the command line to the value of its variable. An empty variable counts as not set.
 */
export function takeVariables(program: Command, env: Environment): void {
  withoutDuty(program, env);
  program.hook('preAction', (_program, command) => {
    for (let at: Command | null = command; at !== null; at = at.parent)
      for (const option of at.options) takeVariable(at, option, env);
  });
}

/** Commander checks required flags before it calls any hook. */
function withoutDuty(command: Command, env: Environment): void {
  for (const option of command.options)
    if (option.mandatory && valueFor(command, option, env) !== undefined)
      option.makeOptionMandatory(false);
  for (const child of command.commands) withoutDuty(child, env);
}

function valueFor(command: Command, {long}: Option, env: Environment): string | undefined {
  const hasNone =
    long === undefined ||
    FLAGS_ONLY.has(long) ||
    NAMED_OTHERWISE.has(long) ||
    COMMANDS_ONLY.has(command.name()) ||
    FLAGS_ONLY_OF[command.name()]?.has(long) === true;
  return hasNone ? undefined : variableValue(long, env);
}

function takeVariable(command: Command, option: Option, env: Environment): void {
  const text = valueFor(command, option, env);
  const key = option.attributeName();
  const source = command.getOptionValueSource(key);
  if (text === undefined || (source !== undefined && source !== 'default')) return;
  try {
    command.setOptionValueWithSource(key, valueOf(option, text), 'env');
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    const name = variableOf(option.long ?? '');
    command.error(`error: the variable ${name} has the value '${text}': ${error.message}`);
  }
}

/** @throws InvalidArgumentError */
function valueOf(option: Option, text: string): unknown {
  const {parseArg} = option;
  if (option.isBoolean() || option.negate) {
    const on = isOn(text);
    if (on === undefined) throw new InvalidArgumentError('write 1 or 0');
    return on !== option.negate;
  }
  if (parseArg === undefined) return text;
  const parts = LISTS.has(parseArg) ? listIn(text) : [text];
  return parts.reduce<unknown>((before, part) => parseArg(part, before), undefined);
}

/** The values between commas, except commas within the braces of a glob. */
function listIn(text: string): readonly string[] {
  return [...text.matchAll(/(?:\{[^}]*\}|[^,])+/g)].map(([part]) => part.trim());
}
