import type {Command} from 'commander';
import {TransshipError} from '../model/error.ts';

/** Shells that `completion` writes a script for. */
const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** What can follow some words of a command line. */
interface Completed {
  /** The words, such as `plan copy`; empty: the program itself. */
  readonly words: string;
  readonly commands: readonly string[];
  readonly flags: readonly string[];
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
  transship completion fish > ~/.config/fish/completions/transship.fish`,
    )
    .action((shell: string) => {
      const script = SCRIPTS[shell as (typeof SHELLS)[number]];
      if (!Object.hasOwn(SCRIPTS, shell)) {
        throw new TransshipError('USAGE', `"${shell}" is no shell with completion`, {
          side: 'local',
          hint: `write ${SHELLS.join(', ')}`,
        });
      }
      write(script(completedBy(program, '')));
      done(0);
    });
}

function completedBy(command: Command, words: string): readonly Completed[] {
  const own = {
    words,
    commands: command.commands.map((child) => child.name()),
    flags: [
      ...command.options.flatMap(({hidden, long}) => (hidden || !long ? [] : [long])),
      '--help',
    ],
  };
  return [
    own,
    ...command.commands.flatMap((child) => completedBy(child, `${words} ${child.name()}`.trim())),
  ];
}

/** Files complete as the shell does it. */
const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], (lists: readonly Completed[]) => string>> =
  {
    bash: (lists) => `# bash completion for transship
_transship() {
  local words="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) words="\${words:+$words }$word" ;; esac
  done
  local current="\${COMP_WORDS[COMP_CWORD]}" found
  while :; do
    case "$words" in
${lists.map(({words, commands, flags}) => `      "${words}") found="${[...commands, ...flags].join(' ')}"; break ;;`).join('\n')}
    esac
    [ -n "$words" ] || break
    case "$words" in *" "*) words="\${words% *}" ;; *) words="" ;; esac
  done
  COMPREPLY=($(compgen -W "$found" -- "$current"))
}
complete -o default -F _transship transship
`,
    zsh: (lists) => `#compdef transship
autoload -U +X bashcompinit && bashcompinit
${SCRIPTS.bash(lists)}`,
    fish: (lists) =>
      [
        '# fish completion for transship',
        ...lists.flatMap(({words, commands, flags}) => {
          const parts = words.split(' ').filter((word) => word !== '');
          const seen = parts.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
          const when = seen === '' ? '__fish_use_subcommand' : seen;
          return [
            ...commands.map((name) => `complete -c transship -n "${when}" -a ${name}`),
            ...flags.map((flag) => `complete -c transship -n "${when}" -l ${flag.slice(2)}`),
          ];
        }),
        '',
      ].join('\n'),
  };
