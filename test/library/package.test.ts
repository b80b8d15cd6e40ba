import {cp, mkdir, readdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {type Sandbox, startSandbox} from '../../src/sandbox/sandbox.ts';
import {MAIN} from '../support/cli.ts';
import {type ProgramResult, runProgram} from '../support/program.ts';
import {storeImage} from '../support/small-images.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';

/*
 * The library as others get it: packed, installed from the tarball where no library is near, type-checked and run.
 */

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
/** The Node of this test first, so that npm runs with it. */
const PATH = `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`;

const cleanup = new AsyncDisposableStack();
let temp: TempDirectory;
let source: Sandbox;
let destination: Sandbox;

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  source = cleanup.use(await startSandbox());
  destination = cleanup.use(await startSandbox());
  await storeImage(source.storage, 'team/app' as RepositoryPath, 'v1', [Buffer.from('one')]);
  await storeImage(source.storage, 'team/app' as RepositoryPath, 'v2', [Buffer.from('two')]);
  await storeImage(source.storage, 'team/app' as RepositoryPath, 'dev', [Buffer.from('dev')]);

  const packed = temp.join('package');
  await mkdir(packed);
  // What the test run has built.
  await cp(dirname(dirname(MAIN)), join(packed, 'dist'), {recursive: true});
  for (const name of ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE', 'bin', 'plans'])
    await cp(join(PROJECT, name), join(packed, name), {recursive: true});
  await npm(packed, 'pack', '--ignore-scripts', '--pack-destination', temp.path);
  const tarball = (await readdir(temp.path)).find((name) => name.endsWith('.tgz')) ?? '';
  await writeFile(temp.join('package.json'), '{"private": true}');
  await npm(temp.path, 'install', '--ignore-scripts', '--offline', `./${tarball}`);
  // No more than a consumer installs to write for Node.
  await mkdir(temp.join('node_modules/@types'), {recursive: true});
  await symlink(join(PROJECT, 'node_modules/@types/node'), temp.join('node_modules/@types/node'));
  for (const name of await readdir(join(PROJECT, 'examples/library')))
    await cp(join(PROJECT, 'examples/library', name), temp.join(name));
});
afterAll(() => cleanup.disposeAsync());

async function npm(cwd: string, ...args: readonly string[]): Promise<void> {
  const env = {PATH, HOME: temp.path, npm_config_update_notifier: 'false'};
  const {code, stdout, stderr} = await runProgram('npm', args, {cwd, env});
  if (code !== 0) throw new Error(`npm ${args.join(' ')} failed: ${stdout}${stderr}`);
}

async function node(...args: readonly string[]): Promise<ProgramResult> {
  return await runProgram(process.execPath, args, {cwd: temp.path, env: {HOME: temp.path}});
}

/** Checks the types of files of a consumer, also those of the package. */
async function typeCheck(...files: readonly string[]): Promise<ProgramResult> {
  const tsc = join(PROJECT, 'node_modules/typescript/lib/tsc.js');
  const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess'];
  const modules = ['--module', 'nodenext', '--moduleResolution', 'nodenext', '--target', 'es2022'];
  const more = ['--skipLibCheck', 'false', '--types', 'node', '--noEmit', '--ignoreConfig'];
  return await node(tsc, ...strict, ...modules, ...more, ...files);
}

test('the page on the library has the example as it is', async () => {
  const page = await readFile(join(PROJECT, 'docs/library.md'), 'utf8');
  const example = await readFile(join(PROJECT, 'examples/library/copy-repository.ts'), 'utf8');
  expect(page).toContain(`\n\`\`\`ts\n${example}\`\`\`\n`);
  const named = [...page.matchAll(/^\| `(\w+)\(.*?\)`(?:, `(\w+)\()?/gm)].flatMap(([, ...names]) =>
    names.filter(Boolean),
  );
  const exported = Object.values(await import('../../src/library/index.ts')).map(({name}) => name);
  expect([...named, 'TransshipError'].toSorted()).toEqual(exported.toSorted());
});

test('its types depend on no other package, and hide internals', async () => {
  for (const name of ['index.d.mts', 'index.d.cts']) {
    const text = await readFile(temp.join('node_modules/transship/dist', name), 'utf8');
    const code = text.replaceAll(/\/\*\*.*?\*\//gs, '');
    expect(code).toContain('declare function planCopy(');
    const leaks = /\b(?:import|require|from|any|Places|HttpClient|Redactor|TransferPlan)\b[^?:]/g;
    expect([...code.matchAll(leaks)].map(([leak]) => leak)).toEqual([]);
    expect(text.includes('@internal')).toBe(false);
  }
});

test('the examples pass the strict checks of TypeScript, as ES modules and as CommonJS', async () => {
  const names = ['copy-repository.mts', 'nightly.mts', 'copy-repository.cts'];
  for (const name of names) {
    const example = await readFile(temp.join(name.replace(/\.[mc]ts$/, '.ts')), 'utf8');
    // CommonJS has no top-level await.
    const text = name.endsWith('.cts')
      ? example.replace(/^try \{.*^\}(?=\n\nfunction)/ms, 'void (async () => {\n$&\n})();')
      : example;
    await writeFile(temp.join(name), text);
  }
  expect(await typeCheck(...names)).toEqual({code: 0, stdout: '', stderr: ''});
});

test('its types refuse wrong uses', async () => {
  const wrong = `import {openSession, planCopy, type RunEvent} from 'transship';
const session = openSession({plainHttp: 'example.com'});
void planCopy(session, {source: 'a'});
export const name = (event: RunEvent) => event.type === 'no-such-event';
`;
  await writeFile(temp.join('wrong.mts'), wrong);
  const {code, stdout} = await typeCheck('wrong.mts');
  expect(code).not.toBe(0);
  expect([...stdout.matchAll(/^wrong\.mts\((\d+)/gm)].map(([, line]) => line)).toEqual([
    '2',
    '3',
    '4',
  ]);
});

test('an ES module copies a repository, and receives events', async () => {
  await cp(temp.join('copy-repository.ts'), temp.join('copy-repository.mts'));
  const [from, to] = [`${source.host}/team/app`, `${destination.host}/esm/app`];
  const ran = await node('copy-repository.mts', from, to);
  expect(ran).toMatchObject({code: 0, stderr: ''});
  expect(ran.stdout).toMatch(/^2 images to copy, \d+ bytes\n(?:.*: done\n){2}the run is done\n/);
  expect(ran.stdout).toContain('2 tags verified, 0 differences');
  const tags = await destination.storage.manifests.tags('esm/app' as RepositoryPath);
  expect(tags.toSorted()).toEqual(['v1', 'v2']);

  const missing = await node('copy-repository.mts', `${source.host}/no/such`, to);
  expect(missing).toMatchObject({code: 1, stdout: ''});
  expect(missing.stderr).toMatch(/^source: .*no\/such.* \[REPOSITORY_NOT_FOUND\]\n/);
});

test('a migration file is planned and applied', async () => {
  const routes = [
    `from: ${source.host}`,
    `to: ${destination.host}/nightly`,
    'routes:',
    '  - from: team/app',
  ];
  await writeFile(temp.join('acme.yaml'), `version: 1\n${routes.join('\n')}\n`);
  await cp(temp.join('nightly.ts'), temp.join('nightly.mts'));
  expect(await node('nightly.mts', 'acme.yaml')).toEqual({
    code: 0,
    stdout: 'done: 3 of 3 images\n',
    stderr: '',
  });
});

test('a CommonJS module copies an image', async () => {
  const to = `${destination.host}/cjs/app:copied`;
  const ran = await node('copy-image.cjs', `${source.host}/team/app:v1`, to);
  expect(ran).toEqual({code: 0, stdout: 'done: 2 blobs copied\n', stderr: ''});
  expect(await destination.storage.manifests.tags('cjs/app' as RepositoryPath)).toEqual(['copied']);
});

test('a program stops a run, and a later one completes it', async () => {
  const text = `import {applyPlan, openSession, planCopy, readStatus} from 'transship';
const [source, destination] = process.argv.slice(2);
const journal = 'stopped.journal.ndjson';
const stop = new AbortController();
const onEvent = ({type}) => type === 'blob-started' && stop.abort();
const first = openSession({onEvent, stopping: stop.signal});
const plan = await planCopy(first, {source, destination});
const stopped = await applyPlan(first, plan, {journal, jobs: 1});
await first.close();
const {steps} = await readStatus(plan, [journal]);
const second = openSession();
const completed = await applyPlan(second, plan, {journal});
await second.close();
console.log(stopped.result, steps.done, completed.result);
`;
  await writeFile(temp.join('stop.mjs'), text);
  const ran = await node('stop.mjs', `${source.host}/team/app`, `${destination.host}/stopped/app`);
  expect(ran).toEqual({code: 0, stdout: 'interrupted 0 done\n', stderr: ''});
});

test('both kinds of modules get the very same objects', async () => {
  const text = `import {createRequire} from 'node:module';
import * as esm from 'transship';
const cjs = createRequire(import.meta.url)('transship');
console.log(Object.keys(esm).every((name) => esm[name] === cjs[name]), Object.keys(esm).length);
`;
  await writeFile(temp.join('same.mjs'), text);
  expect(await node('same.mjs')).toEqual({code: 0, stdout: 'true 9\n', stderr: ''});
});
