import {Argument, type Command} from 'commander';

/** The shells for which `completion` writes a script. */
const SHELLS = ['bash', 'zsh', 'fish'] as const;

export type Shell = (typeof SHELLS)[number];

/** Completions after some words of a command line. */
interface Completed {
  /** The words, such as `plan copy`; empty: the program itself. */
  readonly words: string;
  readonly commands: readonly Described[];
  readonly flags: readonly Flag[];
  /** Values of its argument; empty: any value, such as a file. */
  readonly values: readonly string[];
}

interface Described {
  readonly name: string;
  readonly about: string;
}

interface Flag extends Described {
  readonly hasValue: boolean;
  /** Values of the flag; empty: any value. */
  readonly values: readonly string[];
}

/** `transship completion`: a script that completes commands, flags and their values in a shell. */
export function addCompletion(
  program: Command,
  write: (text: string) => unknown,
  done: (exitCode: number) => void,
): void {
  program
    .command('completion')
    .summary('print a completion script for bash, zsh or fish')
    .addArgument(new Argument('<shell>', SHELLS.join(', ')).choices(SHELLS))
    .addHelpText(
      'after',
      `
Examples:
  source <(transship completion bash)
  transship completion zsh > "\${fpath[1]}/_transship"
  transship completion fish > ~/.config/fish/completions/transship.fish`,
    )
    .action((shell: Shell) => {
      write(completionScript(shell, program));
      done(0);
    });
}

/** The script that completes the program's commands and flags. The shell itself completes files. */
export function completionScript(shell: Shell, program: Command): string {
  const common = flagsOf(program).filter(({name}) => name !== '--version');
  return SCRIPTS[shell](completedBy(program, '', common));
}

/** @param common flags of the program, which every command accepts */
function completedBy(
  command: Command,
  words: string,
  common: readonly Flag[],
): readonly Completed[] {
  const own = flagsOf(command);
  const names = new Set(own.map(({name}) => name));
  const first = command.registeredArguments[0];
  const children = command
    .createHelp()
    .visibleCommands(command)
    .filter((child) => child.name() !== 'help');
  return [
    {
      words,
      commands: children.map((child) => ({name: child.name(), about: child.summary()})),
      flags: [...own, ...common.filter(({name}) => !names.has(name)), HELP],
      values: first?.argChoices ?? [],
    },
    ...children.flatMap((child) => completedBy(child, `${words} ${child.name()}`.trim(), common)),
  ];
}

const HELP: Flag = {name: '--help', about: 'display help', hasValue: false, values: []};

function flagsOf({options}: Command): readonly Flag[] {
  return options.flatMap(({hidden, long, description, required, optional, argChoices}) =>
    hidden || !long
      ? []
      : [
          {
            name: long,
            about: description,
            hasValue: required || optional,
            values: argChoices ?? [],
          },
        ],
  );
}

const namesOf = (parts: readonly Described[]): string => parts.map(({name}) => name).join(' ');

/** Cases for bash and zsh: the values of a flag, by the words and the flag before them. */
function valueCases(lists: readonly Completed[]): string {
  return lists
    .flatMap(({words, flags}) =>
      flags.flatMap(({name, values}) =>
        values.length === 0 ? [] : [`    "${words} ${name}") found="${values.join(' ')}" ;;`],
      ),
    )
    .join('\n');
}

/** Cases for bash and zsh: the completions after some words. */
function wordCases(lists: readonly Completed[]): string {
  return lists
    .map(
      ({words, commands, flags, values}) =>
        `      "${words}") found="${[namesOf(commands), ...values, namesOf(flags)].filter((part) => part !== '').join(' ')}"; break ;;`,
    )
    .join('\n');
}

/** For bash and zsh: finds the completions after `$line`, the words before, and `$before`, the last one of them. */
function lookUp(lists: readonly Completed[]): string {
  return `  local found="" at="$line"
  while :; do
    case "$at" in
${wordCases(lists)}
    esac
    [ -n "$at" ] || break
    case "$at" in *" "*) at="\${at% *}" ;; *) at="" ;; esac
  done
  case "$at $before" in
${valueCases(lists)}
  esac`;
}

const SCRIPTS: Readonly<Record<Shell, (lists: readonly Completed[]) => string>> = {
  // The shell itself completes files.
  bash: (lists) => `# bash completion for transship
_transship() {
  local line="" word before="\${COMP_WORDS[COMP_CWORD-1]}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) line="\${line:+$line }$word" ;; esac
  done
${lookUp(lists)}
  local current="\${COMP_WORDS[COMP_CWORD]}" plain=""
  case "$current" in
    -*) ;;
    *) for word in $found; do case "$word" in -*) ;; *) plain="$plain $word" ;; esac; done; found="$plain" ;;
  esac
  COMPREPLY=($(compgen -W "$found" -- "$current"))
}
complete -o default -F _transship transship
`,
  zsh: (lists) => `#compdef transship
_transship() {
  local line="" word before="\${words[CURRENT-1]}"
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$word" in -*) ;; *) line="\${line:+$line }$word" ;; esac
  done
${lookUp(lists)}
  case "\${words[CURRENT]}" in
    -*) compadd -- \${(M)\${=found}:#-*} ;;
    *) compadd -- \${\${=found}:#-*} || _files ;;
  esac
}
if [ "\${funcstack[1]}" = _transship ]; then _transship "$@"; else compdef _transship transship; fi
`,
  fish: (lists) =>
    [
      '# fish completion for transship',
      'function __transship_at',
      '    set -l at ""',
      '    set -l line ""',
      '    for word in (commandline -opc)[2..-1]',
      "        string match -q -- '-*' $word; and continue",
      '        set line (string trim -- "$line $word")',
      `        contains -- $line ${lists.flatMap(({words}) => (words === '' ? [] : [quoted(words)])).join(' ')}; and set at $line`,
      '    end',
      '    test "$at" = "$argv[1]"',
      'end',
      ...lists.flatMap(({words, commands, flags, values}) => {
        const when = `complete -c transship -n ${quoted(`__transship_at ${JSON.stringify(words)}`)}`;
        return [
          ...commands.map(({name, about}) => `${when} -f -a ${name} -d ${quoted(about)}`),
          ...(values.length === 0 ? [] : [`${when} -f -a ${quoted(values.join(' '))}`]),
          ...flags.map((flag) => `${when} ${fishFlag(flag)} -d ${quoted(flag.about)}`),
        ];
      }),
      '',
    ].join('\n'),
};

function fishFlag({name, hasValue, values}: Flag): string {
  const long = `-l ${name.slice(2)}`;
  if (values.length > 0) return `${long} -x -a ${quoted(values.join(' '))}`;
  return hasValue ? `${long} -r` : long;
}

/** Quotes a text for fish. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
