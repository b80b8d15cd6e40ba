import {readdir, readFile} from 'node:fs/promises';
import {join, relative, sep} from 'node:path';
import {fileURLToPath} from 'node:url';
import {describe, expect, test} from 'vitest';
import {importsOf, type SourceFile, violations} from './support/source-rules.ts';

const SOURCES = fileURLToPath(new URL('../src/', import.meta.url));

async function sourceFiles(): Promise<readonly SourceFile[]> {
  const entries = await readdir(SOURCES, {recursive: true, withFileTypes: true});
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(SOURCES, join(entry.parentPath, entry.name)).split(sep).join('/'));
  return await Promise.all(
    paths.map(async (path) => ({path, text: await readFile(join(SOURCES, path), 'utf8')})),
  );
}

test('every file of src keeps the rules of the house', async () => {
  const files = await sourceFiles();
  expect(files.length).toBeGreaterThan(10);
  expect(files.flatMap(violations)).toEqual([]);
});

test('ARCHITECTURE.md names files that there are', async () => {
  const text = await readFile(new URL('../ARCHITECTURE.md', import.meta.url), 'utf8');
  const paths = new Set((await sourceFiles()).map(({path}) => path));
  const named = [...text.matchAll(/`((?:src\/)?[a-z]+\/[\w./-]+\.ts)`/g)].map(
    ([, path = '']) => path,
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((path) => !paths.has(path) && !/^(?:test|release)\//.test(path))).toEqual([]);
});

describe('a rule is broken by', () => {
  test.each([
    ['a file outside the layers', 'main.ts', ''],
    ['a file in an unknown layer', 'utils/strings.ts', ''],
    ['an import from a later layer', 'plan/a.ts', `import {b} from '../apply/b.ts';`],
    ['an import of a type only', 'model/a.ts', `import type {B} from '../http/b.ts';`],
    ['an import over many lines', 'http/a.ts', `import {\n  b,\n  type C,\n} from '../cli/b.ts';`],
    ['a re-export', 'http/a.ts', `export * from '../registry/b.ts';`],
    ['an import for its effect', 'http/a.ts', `import '../registry/b.ts';`],
    ['a dynamic import', 'http/a.ts', `const b = await import('../registry/b.ts');`],
    ['an import type', 'http/a.ts', `type B = import('../registry/b.ts').B;`],
    ['a computed import', 'http/a.ts', 'const b = await import(name);'],
    ['an import after another on its line', 'http/a.ts', `import 'a'; import '../cli/b.ts';`],
    ['an import from outside src', 'http/a.ts', `import {b} from '../../test/b.ts';`],
    ['use of the sandbox', 'report/a.ts', `import {b} from '../sandbox/b.ts';`],
    ['use of the registry by gitlab', 'gitlab/a.ts', `import {b} from '../registry/b.ts';`],
    ['the product deciding for the sandbox', 'sandbox/a.ts', `import {b} from '../model/b.ts';`],
    ['a value among types', 'sandbox/a.ts', `import {type B, c} from '../model/b.ts';`],
    ['another layer in the sandbox', 'sandbox/a.ts', `import type {B} from '../gitlab/b.ts';`],
    ['undici outside http', 'registry/a.ts', `import {request} from 'undici';`],
    ['a type of undici outside http', 'registry/a.ts', `import type {Dispatcher} from "undici";`],
    ['commander outside cli', 'report/a.ts', `import {Command} from 'commander';`],
    ['cli-progress outside cli', 'report/a.ts', `import {Bar} from 'cli-progress';`],
    ['zod without its settings', 'model/a.ts', `import {z} from 'zod';`],
    ['process outside cli', 'http/a.ts', `const home = process.env['HOME'];`],
    ['node:process outside cli', 'http/a.ts', `import {env} from 'node:process';`],
    ['console outside cli', 'http/a.ts', `console.error('no');`],
    ['files in plan', 'plan/a.ts', `import {readFile} from 'node:fs/promises';`],
    ['a network in model', 'model/a.ts', `import {connect} from 'node:net';`],
    ['timers in plan', 'plan/a.ts', `import {scheduler} from 'node:timers/promises';`],
    ['a clock in plan', 'plan/a.ts', 'const now = Date.now();'],
    ['today in plan', 'plan/a.ts', 'const now = new Date();'],
    ['chance in model', 'model/a.ts', 'const id = Math.random();'],
    ['more than 400 lines', 'model/a.ts', 'a;\n'.repeat(401)],
    ['require', 'cli/a.ts', `const a = require('b');`],
    ['JSON that is parsed without bounds', 'cli/a.ts', 'const a = JSON.parse(text);'],
  ])('%s', (_rule, path, text) => {
    expect(violations({path, text})).toHaveLength(1);
  });
});

describe('no rule is broken by', () => {
  test.each([
    ['an import from an earlier layer', 'cli/a.ts', `import {b} from '../sandbox/b.ts';`],
    ['a type of the model', 'sandbox/a.ts', `import type {B} from '../model/b.ts';`],
    ['a schema of the sandbox', 'sandbox/x/a.ts', `import {z} from '../../model/schema.ts';`],
    ['an import in the same layer', 'plan/a.ts', `import {b} from './rules/b.ts';`],
    [
      'a comment',
      'plan/a.ts',
      `// import {b} from '../cli/b.ts';\n/* process.exit(); Date.now() */`,
    ],
    ['a message', 'plan/a.ts', `throw new Error('another process. console.log is no answer');`],
    ['a quote in a regular expression', 'http/a.ts', `const quote = /['"]/;\n// process.exit()`],
    ['a time that is given', 'plan/a.ts', 'const then = new Date(text);'],
    ['undici in http', 'http/a.ts', `import {Agent} from 'undici';`],
    ['zod where it is set up', 'model/schema.ts', `import {z} from 'zod';`],
    ['400 lines', 'model/a.ts', 'a;\n'.repeat(400)],
    ['a property of that name', 'http/a.ts', 'const a = child.process.pid;'],
  ])('%s', (_what, path, text) => {
    expect(violations({path, text})).toEqual([]);
  });
});

test('imports are found with the layers that they lead to', () => {
  const text = `import a, {b} from './a.ts';\nexport type {C} from '../../http/c.ts';\nimport {d} from "zod";`;
  expect(importsOf({path: 'cli/commands/x.ts', text})).toEqual([
    {module: './a.ts', target: 'cli/commands/a.ts', layer: 'cli', isType: false},
    {module: '../../http/c.ts', target: 'http/c.ts', layer: 'http', isType: true},
    {module: 'zod', target: '', layer: undefined, isType: false},
  ]);
});
