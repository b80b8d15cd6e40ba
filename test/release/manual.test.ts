import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {expect, test} from 'vitest';
import {commandLine} from '../../release/command-line.ts';
import {manualPages} from '../../release/manual.ts';
import {needTool} from '../support/debian-tool.ts';
import {runProgram} from '../support/program.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const pages = manualPages(await commandLine('1.2.3'), {
  version: '1.2.3',
  homepage: 'https://transship.example',
  date: new Date('2026-12-01T10:00:00Z'),
});

/** The page as a terminal shows it, without bold and italics. */
async function shown(text: string): Promise<string> {
  await using temp = await tempDirectory();
  const file = join(temp.path, 'page.1');
  await writeFile(file, text);
  const args = ['-man', '-ww', '-Tutf8', '-P-cbou', '-rLL=100n', file];
  const {code, stdout, stderr} = await runProgram(await needTool('groff'), args);
  expect({code, stderr}).toEqual({code: 0, stderr: ''});
  return stdout;
}

test('the package names every page, for npm to install', async () => {
  const file = fileURLToPath(new URL('../../package.json', import.meta.url));
  const {man} = JSON.parse(await readFile(file, 'utf8')) as {readonly man: readonly string[]};
  expect(man.toSorted()).toEqual([...pages.keys()].map((name) => `dist/man/${name}`).toSorted());
});

test('each command has a page with all flags of its help', async () => {
  expect(pages.size).toBeGreaterThan(15);
  for (const [name, text] of pages) {
    const words = name.replace(/\.1$/, '').split('-').slice(1);
    const {stdout: help} = await transship([...words, '--help']);
    const flags = [...help.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, flag = '']) => flag);
    expect(flags).toContain('--help');
    const described = [...text.matchAll(/^\.TP\n.*?\\fB((?:\\-){2}[^ \\]+(?:\\-[^ \\]+)*)/gm)];
    expect(described.map(([, flag = '']) => flag.replaceAll('\\-', '-'))).toEqual(flags);
  }
});

test('pages are set without a warning', async () => {
  const copy = await shown(pages.get('transship-copy.1') ?? '');
  expect(copy).toMatch(/^TRANSSHIP-COPY\(1\) +User Commands +TRANSSHIP-COPY\(1\)$/m);
  expect(copy).toMatch(/^NAME\n +transship-copy - copy images between/m);
  expect(copy).toMatch(/^SYNOPSIS\n +transship copy \[options\] <?source>? <?destination/m);
  expect(copy).toMatch(/^ {7}--semver range$/m);
  expect(copy).toContain(
    "transship copy --semver '^1.2' --exclude-tag '*-rc*' old.example.com/app",
  );
  expect(copy).toMatch(/^transship 1\.2\.3 +2026-12-01 +TRANSSHIP-COPY\(1\)$/m);
  const whole = await shown(pages.get('transship.1') ?? '');
  expect(whole).toMatch(/^ {7}transship-plan\(1\)$/m);
  expect(whole).toMatch(/Exit codes: 0 done, .* 130 interrupted\./s);
  await shown([...pages.values()].join(''));
});
