import {readFile, stat} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {type Command, Option} from 'commander';
import {TransshipError} from '../../model/error.ts';
import {textFiles} from '../../observe/text-files.ts';
import {replaceFile} from '../../places/durable-file.ts';
import {
  type FoundReference,
  ReferenceFinder,
  type References,
  referencesOf,
  rewritten,
} from '../../plan/references.ts';
import {
  REFERENCE_FORMATS,
  type ReferenceFormat,
  renderReferences,
} from '../../report/references-document.ts';
import {counted, printable, printableJson} from '../../report/words.ts';
import type {Io} from '../io.ts';
import {givenPlan} from '../plan-file.ts';

interface Flags {
  readonly format: ReferenceFormat;
  readonly scan?: string;
  readonly apply?: boolean;
  readonly yes?: boolean;
}

/** `transship refs`: old and new names of images, and the files that contain old ones. */
export function addRefs(program: Command, io: Io, done: (exitCode: number) => void): void {
  program
    .command('refs')
    .summary('show old and new image references, and find old ones in files')
    .description(
      'Without --scan: prints the old and the new name of every image of a plan. With --scan: finds old names in the text ' +
        'files of a directory, except those that .gitignore names; exit 2 if there are any.',
    )
    .argument('<plan>', 'a plan file written by "plan … --out" (-: stdin)')
    .addOption(
      new Option('--format <format>', 'output format, on stdout; with --scan: table or json')
        .choices(REFERENCE_FORMATS)
        .default('table'),
    )
    .option('--scan <dir>', 'find old references in the files of this directory')
    .option('--apply', 'with --scan: rewrite them, after the changes were shown')
    .option('--yes', 'with --apply: do not ask')
    .addHelpText(
      'after',
      `
Examples:
  transship refs group.plan.json --format sed > rewrite.sed
  transship refs group.plan.json --scan . --apply`,
    )
    .action(async (word: string, flags: Flags) => {
      const references = referencesOf((await givenPlan(word, io)).plan);
      if (flags.scan === undefined) {
        if (flags.apply === true) throw usage('--apply without --scan', 'add --scan DIR');
        io.stdout.write(renderReferences(references, flags.format, {full: true}));
        done(0);
        return;
      }
      done(await scan(references, flags.scan, flags, io));
    });
}

/** A line of a file with old references. */
interface FoundLine {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly text: string;
  readonly found: readonly FoundReference[];
}

/** @returns the exit code: 2 if old references remain */
async function scan(
  references: References,
  root: string,
  {format, apply, yes}: Flags,
  io: Io,
): Promise<number> {
  if (format !== 'table' && format !== 'json')
    throw usage(`--scan has no format ${format}`, 'use --format table or json');
  await mustBeDirectory(root);
  const found: FoundLine[] = [];
  const finder = new ReferenceFinder(references);
  for await (const {path, text} of textFiles(root, io.stopping))
    for (const [at, line] of text.split('\n').entries()) {
      const own = finder.find(line);
      if (own.length > 0) found.push({file: path, line: at + 1, text: line, found: own});
    }
  io.stdout.write(format === 'json' ? jsonText(found) : tableText(found, root, apply === true));
  if (apply !== true || found.length === 0) return found.length === 0 ? 0 : 2;
  return await rewriteFiles(found, root, yes === true, io);
}

function jsonText(found: readonly FoundLine[]): string {
  const references = found.flatMap(({file, line, found: own}) =>
    own.map(({at, ...one}) => ({file, line, column: at + 1, ...one})),
  );
  return `${printableJson({references}, 2)}\n`;
}

function tableText(found: readonly FoundLine[], root: string, isDiff: boolean): string {
  const all = found.flatMap((line) => line.found);
  const files = new Set(found.map(({file}) => file)).size;
  const fixed = all.filter((one) => one.new === undefined).length;
  const hand = fixed === 0 ? '' : `, ${fixed} of them to be changed by hand`;
  const summary =
    all.length === 0
      ? `Found no old references in ${root}.\n`
      : `Found ${counted(all.length, 'old reference')} in ${counted(files, 'file')}${hand}.\n`;
  return found.map((line) => (isDiff ? diffOf(line) : rowsOf(line))).join('') + summary;
}

function rowsOf({file, line, found}: FoundLine): string {
  return found
    .map(({old, new: to, why}) => `${file}:${line}: ${old} -> ${to ?? `by hand: ${why ?? ''}`}`)
    .map((row) => `${printable(row)}\n`)
    .join('');
}

function diffOf(line: FoundLine): string {
  const changed = rewritten(line.text, line.found);
  const rows = line.found
    .filter((one) => one.new === undefined)
    .map(({old, why}) => `  by hand: ${old}: ${why ?? ''}`);
  const diff = changed === line.text ? [] : [`- ${line.text}`, `+ ${changed}`];
  return [`${line.file}:${line.line}`, ...diff, ...rows]
    .map((row) => `${printable(row)}\n`)
    .join('');
}

async function rewriteFiles(
  found: readonly FoundLine[],
  root: string,
  isAgreed: boolean,
  {ask, stdout}: Io,
): Promise<number> {
  const changes = found.filter((line) => line.found.some((one) => one.new !== undefined));
  const left = found.some((line) => line.found.some((one) => one.new === undefined));
  const byFile = Map.groupBy(changes, ({file}) => file);
  if (byFile.size === 0) return 2;
  if (!isAgreed) {
    if (ask === undefined)
      throw usage('there is no terminal to ask at', 'confirm with --yes; no file was changed');
    if (!(await ask(`Rewrite ${counted(byFile.size, 'file')}?`))) return 2;
  }
  for (const [file, lines] of byFile) await rewriteFile(join(root, file), lines);
  stdout.write(`Rewrote ${counted(byFile.size, 'file')}.\n`);
  return left ? 2 : 0;
}

/** Keeps the file's mode. Lines that changed since are kept and reported. */
async function rewriteFile(path: string, lines: readonly FoundLine[]): Promise<void> {
  const all = (await readFile(path, 'utf8')).split('\n');
  for (const {line, text, found} of lines) {
    if (all[line - 1] !== text)
      throw new TransshipError('FILE_WRITE_FAILED', `${path} changed while it was looked at`, {
        side: 'local',
        hint: 'run the command again',
      });
    all[line - 1] = rewritten(text, found);
  }
  const {mode} = await stat(path);
  await replaceFile(path, Buffer.from(all.join('\n')), dirname(path), mode);
}

async function mustBeDirectory(root: string): Promise<void> {
  const found = await stat(root).catch(() => undefined);
  if (found?.isDirectory() !== true)
    throw new TransshipError('FILE_UNREADABLE', `${root} is not a directory`, {
      side: 'local',
      hint: 'name a directory with --scan',
    });
}

function usage(message: string, hint: string): TransshipError {
  return new TransshipError('USAGE', message, {side: 'local', hint});
}
