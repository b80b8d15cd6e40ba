import {cp, mkdir, readdir, readFile, symlink} from 'node:fs/promises';
import type {ServerResponse} from 'node:http';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {testAuthority} from './support/certificates.ts';
import {startHttpServer} from './support/http-server.ts';
import {brokenLinks} from './support/markdown-links.ts';
import {type ProgramResult, runProgram} from './support/program.ts';
import {type TempDirectory, tempDirectory} from './support/temp.ts';
import {startTunnelProxy} from './support/tunnel-proxy.ts';

/* The package as `npm publish` would send it, installed as its users do. */

const PROJECT = fileURLToPath(new URL('../', import.meta.url));
const NOT_COPIED = new Set(['node_modules', 'dist', 'build', '.git', 'coverage']);
/** The Node of this test first, so that npm's scripts run with it. */
const PATH = `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`;

const cleanup = new AsyncDisposableStack();
let temp: TempDirectory;
/** What npm said while it installed. */
let installation: ProgramResult;
/** The directory of the package where it is installed. */
let installed: string;

async function npm(cwd: string, args: readonly string[]): Promise<ProgramResult> {
  const env = {PATH, HOME: temp.path, npm_config_update_notifier: 'false'};
  const result = await runProgram('npm', args, {cwd, env});
  if (result.code !== 0)
    throw new Error(`npm ${args.join(' ')} failed: ${result.stdout}${result.stderr}`);
  return result;
}

/** Runs the installed command. */
async function command(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ProgramResult> {
  const program = temp.join('prefix', 'bin', 'transship');
  return await runProgram(program, args, {env: {PATH, HOME: temp.path, ...env}});
}

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  // A copy, so that the build disturbs nobody.
  const copy = temp.join('project');
  await mkdir(copy);
  for (const name of await readdir(PROJECT))
    if (!NOT_COPIED.has(name)) await cp(join(PROJECT, name), join(copy, name), {recursive: true});
  await symlink(join(PROJECT, 'node_modules'), join(copy, 'node_modules'));
  const packed = await npm(copy, ['pack', '--json', '--pack-destination', temp.path]);
  const [{filename = ''} = {}] = JSON.parse(packed.stdout.slice(packed.stdout.indexOf('['))) as {
    readonly filename?: string;
  }[];
  const install = ['install', '--global', '--offline', '--prefix', temp.join('prefix')];
  installation = await npm(temp.path, [...install, temp.join(filename)]);
  installed = temp.join('prefix', 'lib', 'node_modules', 'transship');
});
afterAll(() => cleanup.disposeAsync());

test('npm installs the package without a warning, a script or a dependency', async () => {
  expect(installation.stderr).toBe('');
  expect(installation.stdout).toMatch(/^\s*added 1 package in /);
});

test('the package holds what a user needs', async () => {
  expect((await readdir(installed)).toSorted()).toEqual(
    expect.arrayContaining(['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'package.json']),
  );
  const described = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as Readonly<
    Record<string, unknown>
  >;
  expect(Object.keys(described)).toEqual(
    expect.arrayContaining(['author', 'bugs', 'homepage', 'license', 'repository']),
  );
  const built = await readdir(join(installed, 'dist'), {recursive: true});
  // As modules are; without it a write to what is frozen would be passed over in silence.
  for (const path of built.filter((each) => each.endsWith('.cjs')))
    expect(await readFile(join(installed, 'dist', path), 'utf8')).toMatch(
      /^(?:#!.*\n)?"use strict";/,
    );
  const notices = await readFile(join(installed, 'dist', 'THIRD-PARTY-NOTICES.txt'), 'utf8');
  for (const name of ['commander', 'undici', 'zod'])
    expect(notices).toMatch(
      new RegExp(`^${name} .*\\n\\n[^]{0,200}Permission is hereby granted`, 'm'),
    );
});

test('every link of its pages leads to something', async () => {
  expect(await brokenLinks(installed, {project: PROJECT})).toEqual([]);
});

test('the installed command runs', async () => {
  const ran = await command(['--version']);
  expect(ran).toMatchObject({code: 0, stderr: ''});
  expect(ran.stdout).toMatch(/^\d+\.\d+\.\d+ \(Node \d+\.\d+\.\d+, \w+-\w+\)$/m);
  const missing = temp.join('missing');
  const failed = await command(['copy', `oci:${missing}`, `oci:${temp.join('layout')}`]);
  expect(failed).toMatchObject({code: 1, stdout: ''});
  expect(failed.stderr).toContain('REPOSITORY_NOT_FOUND');
});

test('it introduces itself through a proxy, to a server whose certificate it checks', async () => {
  await using tls = await testAuthority();
  await using proxy = await startTunnelProxy();
  await using server = await startHttpServer(notFound, {tls: tls.otherServer});
  const far = `other.test:${new URL(server.url).port}`;
  const args = [
    'copy',
    '--ca-file',
    tls.authority.certFile,
    `${far}/a`,
    `oci:${temp.join('none')}`,
  ];
  const tunnelled = await command(args, {HTTPS_PROXY: proxy.url});
  expect(tunnelled.stderr).toContain(`${far}/a does not exist [REPOSITORY_NOT_FOUND]`);
  expect(proxy.targets).toContain(far);
  expect(new Set(server.requests.map(({headers}) => headers['user-agent']))).toEqual(
    new Set([expect.stringMatching(/^transship\/\d+\.\d+\.\d+ \(\+https:\/\/[\w./-]+\)$/)]),
  );
});

function notFound(_request: unknown, response: ServerResponse): void {
  response.writeHead(404).end();
}
