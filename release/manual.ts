import {type Argument, type Command, Help, type Option} from 'commander';

/** What a manual says of itself besides what the commands do. */
export interface ManualFacts {
  /** The version that it describes. */
  readonly version: string;
  readonly homepage: string;
  readonly date: Date;
}

/** One page for each command, `transship-copy.1`, and one for the program, by file name. */
export function manualPages(program: Command, facts: ManualFacts): ReadonlyMap<string, string> {
  const pages = allCommands(program).map(
    (words) => [`${words.map(nameOf).join('-')}.1`, manualPage(words, facts)] as const,
  );
  return new Map(pages);
}

/** A command with those above it, the program first. */
type CommandPath = readonly Command[];

function allCommands(command: Command, above: CommandPath = []): readonly CommandPath[] {
  const path = [...above, command];
  return [path, ...visibleCommands(command).flatMap((child) => allCommands(child, path))];
}

function visibleCommands(command: Command): readonly Command[] {
  // commander's own, which has no definition to describe.
  return help(command)
    .visibleCommands(command)
    .filter((child) => nameOf(child) !== 'help');
}

function nameOf(command: Command): string {
  return command.name();
}

function help(command: Command): Help {
  return command.createHelp();
}

/** In the macros of man(7), which groff, mandoc and every `man` understand. */
function manualPage(path: CommandPath, {version, homepage, date}: ManualFacts): string {
  const [program, command] = [path[0], path.at(-1)];
  if (program === undefined || command === undefined) throw new Error('no command to describe');
  const name = path.map(nameOf).join('-');
  const day = date.toISOString().slice(0, 10);
  const sections = [
    `.TH ${[name.toUpperCase(), '1', day, `${nameOf(program)} ${version}`, 'User Commands'].map(quoted).join(' ')}`,
    // Words of a command line neither stretched nor broken.
    '.ad l\n.nh',
    section('NAME', `${plain(name)} \\- ${plain(command.summary() || command.description())}`),
    section('SYNOPSIS', synopsis(path)),
    section('DESCRIPTION', paragraphs([command.description() || command.summary()])),
    section('ARGUMENTS', command.registeredArguments.map(argumentItem).join('\n')),
    section('COMMANDS', commandList(path)),
    section('OPTIONS', help(command).visibleOptions(command).map(optionItem).join('\n')),
    ...addedSections(command),
    section('SEE ALSO', seeAlso(path, homepage)),
  ];
  return `${sections.filter((text) => text !== '').join('\n')}\n`;
}

function section(title: string, content: string): string {
  return content === '' ? '' : `.SH ${quoted(title)}\n${content}`;
}

function synopsis(path: CommandPath): string {
  const command = path.at(-1);
  const usage = path.length === 1 ? '[options] <command>' : (command?.usage() ?? '');
  return `.B ${plain(path.map(nameOf).join(' '))}\n${placeholders(usage)}`;
}

/** `<plan>` is a placeholder, which manuals set in italics. */
function placeholders(text: string): string {
  return plain(text).replaceAll(/<([^<>]+)>/g, '\\fI$1\\fR');
}

function argumentItem(argument: Argument): string {
  return item(`\\fI${plain(argument.name())}\\fR`, argument.description);
}

function optionItem(option: Option): string {
  const flags = plain(option.flags)
    .replaceAll(/(?<![\w\\])((?:\\-){1,2}[\w?]+(?:\\-\w+)*)/g, '\\fB$1\\fR')
    .replaceAll(/<([^<>]+)>/g, '\\fI$1\\fR');
  return item(flags, new Help().optionDescription(option));
}

function commandList(path: CommandPath): string {
  const command = path.at(-1);
  if (command === undefined) return '';
  return visibleCommands(command)
    .map((child) => {
      const page = [...path, child].map(nameOf).join('-');
      return item(`\\fB${plain(page)}\\fR(1)`, child.summary() || child.description());
    })
    .join('\n');
}

function item(term: string, text: string): string {
  return `.TP\n${term}\n${sentence(text)}`;
}

/** What a command adds to its help: examples, exit codes, notes. */
function addedSections(command: Command): readonly string[] {
  const blocks = addedHelp(command)
    .split(/\n{2,}/)
    .map((block) => block.replace(/^\n+|\s+$/g, ''))
    .filter((block) => block !== '');
  const [examples, notes] = [
    blocks.filter((block) => block.startsWith('Example')),
    blocks.filter((block) => !block.startsWith('Example')),
  ];
  const commands = examples.flatMap((block) => block.split('\n').slice(1));
  return [
    section('NOTES', paragraphs(notes)),
    section(
      'EXAMPLES',
      commands.length === 0
        ? ''
        : ['.EX', ...commands.map((line) => literal(line.trim())), '.EE'].join('\n'),
    ),
  ];
}

/** The text after commander's own, which it gives only as a part of the whole. */
function addedHelp(command: Command): string {
  let whole = '';
  const output = command.configureOutput();
  command.configureOutput({writeOut: (text) => (whole += text)});
  command.outputHelp();
  command.configureOutput(output);
  return whole.slice(command.helpInformation().length);
}

function seeAlso(path: CommandPath, homepage: string): string {
  const above = path.slice(0, -1).map((_, index) =>
    path
      .slice(0, index + 1)
      .map(nameOf)
      .join('-'),
  );
  const pages = above.map((page) => `.BR ${plain(page)} (1)`);
  return [...pages, `Documentation: ${plain(homepage)}`].join('\n.br\n');
}

function paragraphs(texts: readonly string[]): string {
  return texts.map((text) => sentence(text)).join('\n.PP\n');
}

function sentence(text: string): string {
  return text
    .split('\n')
    .map((line) => literal(line.trim()))
    .join('\n');
}

/** A line of text: a dot or an apostrophe at its start would begin a request. */
function literal(line: string): string {
  return plain(line).replace(/^(?=[.'])/, '\\&');
}

/** Text in which nothing is markup. groff would print `-` as a hyphen, and quotes as typographic ones. */
function plain(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replaceAll('…', '...')
    .replaceAll('“', '"')
    .replaceAll('”', '"');
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '\\(dq')}"`;
}
