import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import {writeFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {storeImage} from '../support/small-images.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

describe('what skopeo, crane and docker users type', () => {
  test.each([
    [['copy', '--src-creds', 'ada:secret-word', 'a/b', 'c/d'], 'TRANSSHIP_SOURCE_USERNAME'],
    [['copy', '--dest-creds=ada:secret-word', 'a/b', 'c/d'], 'TRANSSHIP_DESTINATION_USERNAME'],
    [['login', 'registry.example.com'], 'docker login'],
    [['logout'], 'docker logout'],
    [['cpoy', 'a', 'b'], 'copy'],
    [['plan', 'delete', '--tga', 'x'], 'see transship plan delete --help'],
    [['copy', '--no-clober', 'a', 'b'], '--no-clobber'],
  ])('%j is refused with what works here', async (args, hint) => {
    const run = await transship(args);
    expect([run.code, run.stdout]).toEqual([64, '']);
    expect(run.stderr).toContain(hint);
    expect(run.stderr).not.toContain('secret-word');
  });

  test.each([
    [['help'], 'Usage: transship'],
    [[], 'Usage: transship'],
    [['plan'], 'Usage: transship plan'],
    [['help', 'copy'], 'Usage: transship copy'],
    [['help', 'plan', 'delete'], 'Usage: transship plan delete'],
    [['version'], '0.0.0'],
  ])('%j is answered', async (args, text) => {
    const run = await transship(args);
    expect([run.code, run.stdout.includes(text)]).toEqual([0, true]);
  });

  test('the sandbox takes its own login', async () => {
    const args = ['sandbox', '--port', '0', '--auth', '--user', 'me', '--password', 'secret-word'];
    const run = await transship(args, {stopping: AbortSignal.abort()});
    expect(run).toMatchObject({code: 0, stdout: expect.stringContaining('http://127.0.0.1:')});
  });

  test('flags that say what is so in any case are taken', async () => {
    await using registry = await startSandbox();
    await storeImage(registry.storage, 'a' as RepositoryPath, 'v1', [Buffer.from('x')]);
    const run = await transship([
      'copy',
      '--all',
      '--preserve-digests',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      '--quiet',
      `docker://${registry.host}/a:v1`,
      `docker://${registry.host}/b:v1`,
    ]);
    expect([run.code, run.stderr]).toEqual([0, '']);
    expect(await registry.storage.manifests.tags('b' as RepositoryPath)).toEqual(['v1']);
  });

  test('--dry-run shows the plan, and copies nothing', async () => {
    await using registry = await startSandbox();
    await storeImage(registry.storage, 'a' as RepositoryPath, 'v1', [Buffer.from('x')]);
    const copy = [`${registry.host}/a`, `${registry.host}/b`];
    const dry = await transship(['copy', '--dry-run', ...copy]);
    expect([dry.code, dry.stdout.includes('Plan: 1 image to copy')]).toEqual([2, true]);
    expect(await registry.storage.hasRepository('b' as RepositoryPath)).toBe(false);
    await transship(['copy', ...copy]);
    expect((await transship(['copy', '--dry-run', ...copy])).code).toBe(0);
  });
});

describe('completion', () => {
  test('completes commands and flags in bash', async () => {
    await using temp = await tempDirectory();
    const script = await transship(['completion', 'bash']);
    await writeFile(temp.join('transship.bash'), script.stdout);
    const complete = async (...words: readonly string[]) => {
      const quoted = words.map((word) => `'${word}'`).join(' ');
      const {stdout} = await promisify(execFile)('bash', [
        '-c',
        `source ${temp.join('transship.bash')}; COMP_WORDS=(transship ${quoted}); COMP_CWORD=${words.length}; _transship; echo "\${COMPREPLY[@]}"`,
      ]);
      return stdout.trim().split(' ');
    };
    expect(await complete('ver')).toEqual(['verify']);
    expect(await complete('plan', 'del')).toEqual(['delete']);
    expect(await complete('plan', 'delete', 'a/b', '--keep')).toEqual(['--keep-newest', '--keep']);
    expect(await complete('copy', '--quiet', 'a', '--dry')).toEqual(['--dry-run']);
    expect(await complete('copy', '--src-tls')).toEqual(['']);
  });

  test('is there for fish and zsh, and for no other shell', async () => {
    const fish = await transship(['completion', 'fish']);
    expect(fish.stdout).toContain('-n "__fish_use_subcommand" -a verify');
    expect((await transship(['completion', 'zsh'])).stdout).toMatch(/^#compdef transship/);
    expect((await transship(['completion', 'tcsh'])).code).toBe(64);
  });
});
