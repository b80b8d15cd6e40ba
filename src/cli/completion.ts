import type {Command} from 'commander';
import {TransshipError} from '../model/error.ts';

/** Shells that `completion` writes a script for. */
const SHELLS = ['bash', 'zsh', 'fish'] as const;

type Shell = (typeof SHELLS)[number];

/** A word that may come next. */
interface Candidate {
  readonly word: string;
  readonly description: string;
  /** A flag that a value follows. */
  readonly takesValue: boolean;
}

/** What can follow some words of a command line. */
interface Completed {
  /** The words, such as `plan copy`; empty: the program itself. */
  readonly words: string;
  readonly commands: readonly Candidate[];
  readonly flags: readonly Candidate[];
}

/** `transship completion`: a script that completes commands and flags in a shell. */
export function addCompletion(
  program: Command,
  write: (text: string) => unknown,
  done: (exitCode: number) => void,
): void {
  program
    .command('completion')
    .summary('print a completion script for bash, zsh or fish')
    .argument('<shell>', SHELLS.join(', '))
    .addHelpText(
      'after',
      `
Examples:
  source <(transship completion bash)
  transship completion zsh > "\${fpath[1]}/_transship"
  transship completion fish > ~/.config/fish/completions/transship.fish`,
    )
    .action((shell: string) => {
      if (!isShell(shell)) {
        throw new TransshipError('USAGE', `"${shell}" is no shell with completion`, {
          side: 'local',
          hint: `write ${SHELLS.join(', ')}`,
        });
      }
      write(completionScript(shell, program));
      done(0);
    });
}

function isShell(text: string): text is Shell {
  return (SHELLS as readonly string[]).includes(text);
}

/** The script that completes the program's commands and flags. Files complete as the shell does it. */
export function completionScript(shell: Shell, program: Command): string {
  return SCRIPTS[shell](completedBy(program, ''));
}

function completedBy(command: Command, words: string): readonly Completed[] {
  const own = {
    words,
    commands: command.commands.map((child) => ({
      word: child.name(),
      description: child.summary(),
      takesValue: false,
    })),
    flags: [
      ...command.options.flatMap(({hidden, long, description, required}) =>
        hidden || !long ? [] : [{word: long, description, takesValue: required}],
      ),
      {word: '--help', description: 'display help for command', takesValue: false},
    ],
  };
  return [
    own,
    ...command.commands.flatMap((child) => completedBy(child, `${words} ${child.name()}`.trim())),
  ];
}

/** In bash and zsh: leaves in `found` what may follow the words in `given`, or what may follow fewer of them. */
function lookUp(lists: readonly Completed[], found: (list: Completed) => string): string {
  return `  for word in "\${given[@]}"; do
    case "$word" in -*) ;; *) key="\${key:+$key }$word" ;; esac
  done
  while :; do
    case "$key" in
${lists.map((list) => `      "${list.words}") found=${found(list)}; break ;;`).join('\n')}
    esac
    [ -n "$key" ] || break
    case "$key" in *" "*) key="\${key% *}" ;; *) key="" ;; esac
  done`;
}

const SCRIPTS: Readonly<Record<Shell, (lists: readonly Completed[]) => string>> = {
  bash: (lists) => `# bash completion for transship
_transship() {
  local given=("\${COMP_WORDS[@]:1:COMP_CWORD-1}") key="" word found=""
${lookUp(lists, ({commands, flags}) => `"${[...commands, ...flags].map(({word}) => word).join(' ')}"`)}
  COMPREPLY=($(compgen -W "$found" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _transship transship
`,
  // Loaded from $fpath, the file is the function; sourced, it has to be registered.
  zsh: (lists) => `#compdef transship
_transship() {
  local -a given=("\${(@)words[2,CURRENT-1]}") found
  local key="" word
${lookUp(lists, ({commands, flags}) => `(${[...commands, ...flags].map(zshCandidate).join(' ')})`)}
  _describe transship found
  _files
}
if [ "$funcstack[1]" = _transship ]; then
  _transship "$@"
else
  compdef _transship transship
fi
`,
  fish: (lists) =>
    [
      '# fish completion for transship',
      ...lists.flatMap(({words, commands, flags}) => {
        const parts = words.split(' ').filter((word) => word !== '');
        const seen = parts.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
        const when = `complete -c transship -n "${seen === '' ? '__fish_use_subcommand' : seen}"`;
        return [
          ...commands.map((each) => `${when} -a ${each.word} -d ${quoted(each.description)}`),
          ...flags.map(
            ({word, description, takesValue}) =>
              `${when} -l ${word.slice(2)}${takesValue ? ' -r' : ''} -d ${quoted(description)}`,
          ),
        ];
      }),
      '',
    ].join('\n'),
};

/** As `_describe` takes it: a colon ends the word. */
function zshCandidate({word, description}: Candidate): string {
  return quoted(description === '' ? word : `${word}:${description}`);
}

/** A word that no shell looks into. fish keeps backslashes in single quotes where no quote follows. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", '’')}'`;
}
