import {cp, mkdir, readdir, readFile, symlink, writeFile} from 'node:fs/promises';
import type {ServerResponse} from 'node:http';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {expect, test} from 'vitest';
import {testAuthority} from './support/certificates.ts';
import {startHttpServer} from './support/http-server.ts';
import {runProgram} from './support/program.ts';
import {tempDirectory} from './support/temp.ts';
import {startTunnelProxy} from './support/tunnel-proxy.ts';

const PROJECT = fileURLToPath(new URL('../', import.meta.url));
const NOT_COPIED = new Set(['node_modules', 'dist', '.git', 'coverage']);
/** The Node of this test first, so that npm's scripts run with it. */
const PATH = `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`;

async function scripts(directory: string, args: readonly string[]): Promise<string> {
  const env = {PATH, HOME: directory, npm_config_update_notifier: 'false'};
  const {code, stdout, stderr} = await runProgram('npm', args, {cwd: directory, env});
  if (code !== 0) throw new Error(`npm ${args.join(' ')} failed: ${stdout}${stderr}`);
  return stdout;
}

function notFound(_request: unknown, response: ServerResponse): void {
  response.writeHead(404).end();
}

test('the package holds what a user needs, and runs', async () => {
  await using temp = await tempDirectory();
  // A copy, so that the build disturbs nobody.
  const copy = temp.join('project');
  await mkdir(copy);
  for (const name of await readdir(PROJECT))
    if (!NOT_COPIED.has(name)) await cp(join(PROJECT, name), join(copy, name), {recursive: true});
  await symlink(join(PROJECT, 'node_modules'), join(copy, 'node_modules'));
  await writeFile(join(copy, 'README.md'), '', {flag: 'a'});
  await scripts(copy, ['run', 'build']);

  const [packed] = JSON.parse(
    await scripts(copy, ['pack', '--dry-run', '--json', '--ignore-scripts']),
  ) as {files: {path: string; mode: number}[]}[];
  const paths = packed?.files.map(({path}) => path) ?? [];
  const outside = paths.filter((path) => !path.startsWith('dist/'));
  expect(outside.sort()).toEqual([
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'bin/transship.cjs',
    'package.json',
    'plans/migration.schema.json',
    'plans/output.schema.json',
    'plans/plan.schema.json',
    'plans/policy.schema.json',
  ]);
  const built = paths.filter((path) => path.startsWith('dist/'));
  // As modules are; without it a write to what is frozen would be passed over in silence.
  for (const path of built.filter((each) => each.endsWith('.cjs')))
    expect(await readFile(join(copy, path), 'utf8')).toMatch(/^(?:#!.*\n)?"use strict";/);
  const notices = await readFile(join(copy, 'dist', 'THIRD-PARTY-NOTICES.txt'), 'utf8');
  for (const name of ['commander', 'undici', 'zod'])
    expect(notices).toMatch(
      new RegExp(`^${name} .*\\n\\n[^]{0,200}Permission is hereby granted`, 'm'),
    );

  // Installed where no library is near.
  const installed = temp.join('installed');
  for (const path of [...built, 'bin/transship.cjs', 'package.json'])
    await cp(join(copy, path), join(installed, path), {recursive: true});
  const main = join(installed, 'bin', 'transship.cjs');
  const ran = await runProgram(process.execPath, [main, '--version'], {env: {HOME: temp.path}});
  expect(ran).toMatchObject({code: 0, stderr: ''});
  expect(ran.stdout).toMatch(/^\d+\.\d+\.\d+ \(Node \d+\.\d+\.\d+, \w+-\w+\)$/m);
  const missing = temp.join('missing');
  const args = [main, 'copy', `oci:${missing}`, `oci:${temp.join('layout')}`];
  const failed = await runProgram(process.execPath, args, {env: {HOME: temp.path}});
  expect(failed).toMatchObject({code: 1, stdout: ''});
  expect(failed.stderr).toContain('REPOSITORY_NOT_FOUND');

  // With all that undici needs for a tunnel through a proxy, and a certificate that is checked behind it.
  await using tls = await testAuthority();
  await using proxy = await startTunnelProxy();
  await using server = await startHttpServer(notFound, {tls: tls.otherServer});
  const far = `other.test:${new URL(server.url).port}`;
  const through = [main, 'copy', '--ca-file', tls.authority.certFile, `${far}/a`, `oci:${missing}`];
  const tunnelled = await runProgram(process.execPath, through, {
    env: {HOME: temp.path, HTTPS_PROXY: proxy.url},
  });
  expect(tunnelled.stderr).toContain(`${far}/a does not exist [REPOSITORY_NOT_FOUND]`);
  expect(proxy.targets).toContain(far);
});
