import {mkdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {completionScript} from '../src/cli/completion.ts';
import {commandLine} from './command-line.ts';
import {manualPages} from './manual.ts';
import {commitTime, PROJECT, readProduct} from './release.ts';

/* Part of the build: writes the man pages and the completions from the definitions of the commands. */

/** Where bash, zsh and fish look for the completions of a command. */
const COMPLETIONS = {
  bash: 'bash/transship',
  zsh: 'zsh/_transship',
  fish: 'fish/transship.fish',
} as const;

const {version, homepage} = await readProduct();
const program = await commandLine(version);
const pages = manualPages(program, {version, homepage, date: await commitTime()});
await writeFiles(join(PROJECT, 'dist', 'man'), pages);
const scripts = Object.entries(COMPLETIONS).map(
  ([shell, file]) => [file, completionScript(shell as keyof typeof COMPLETIONS, program)] as const,
);
await writeFiles(join(PROJECT, 'dist', 'completions'), new Map(scripts));

/** Replaces the directory. */
async function writeFiles(directory: string, files: ReadonlyMap<string, string>): Promise<void> {
  await rm(directory, {recursive: true, force: true});
  for (const [name, text] of files) {
    await mkdir(join(directory, name, '..'), {recursive: true});
    await writeFile(join(directory, name), text);
  }
}
