import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import {readFile, writeFile} from 'node:fs/promises';
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
    [['sync', 'a', 'b'], 'plan FILE.yaml'],
    [['inspect', 'a'], 'inventory'],
    [['copy', '--src-authfile=f', 'a', 'b'], '--authfile FILE'],
    [['--override-os', 'linux', 'copy', 'a', 'b'], '--platform os/arch'],
    [['copy', '--additional-tag', 'x', 'registry.test/a', 'registry.test/b'], 'leave the flag out'],
    [['copy', '--additional-tag', 'x y', 'registry.test/a:1', 'registry.test/b'], 'tag'],
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
    [['explain', '--yes', 'USAGE'], 'a flag or an argument is wrong'],
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

  test('--digestfile and --additional-tag write what skopeo writes', async () => {
    await using registry = await startSandbox();
    await using temp = await tempDirectory();
    for (const [tag, layer] of ['x', 'y'].entries())
      await storeImage(registry.storage, 'a' as RepositoryPath, `v${tag}`, [Buffer.from(layer)]);
    const [source, to] = [`docker://${registry.host}/a`, `${registry.host}/b`];
    const digestOf = async (tag: string) => {
      const accept = {accept: 'application/vnd.oci.image.manifest.v1+json'};
      const answer = await fetch(`${registry.url}/v2/b/manifests/${tag}`, {headers: accept});
      return answer.headers.get('docker-content-digest');
    };
    const digestfile = temp.join('digest');
    const tags = ['--additional-tag', 'stable', '--additional-tag=latest'];
    const copy = ['--insecure-policy', 'cp', '--retry-times', '3', '--digestfile', digestfile];
    const one = await transship([...copy, ...tags, `${source}:v0`, `docker://${to}:v0`]);
    expect(one.code).toBe(0);
    const digest = await digestOf('v0');
    expect(await readFile(digestfile, 'utf8')).toBe(`${digest}\n`);
    expect([await digestOf('stable'), await digestOf('latest')]).toEqual([digest, digest]);
    expect((await transship([...copy, source, to])).code).toBe(0);
    const lines = ['v0', 'v1'].map(async (tag) => `${await digestOf(tag)} ${to}:${tag}\n`);
    const listed = (await readFile(digestfile, 'utf8')).split(/(?<=\n)/);
    expect(new Set(listed)).toEqual(new Set(await Promise.all(lines)));
    expect((await transship([...copy, `${source}:v0`, `${to}:v0`])).code).toBe(0);
    expect(await readFile(digestfile, 'utf8')).toBe(`${digest}\n`);
    // Into a layout: names of the same image.
    const layout = `oci:${temp.join('layout')}`;
    await transship(['copy', '--additional-tag', 'other', `${source}:v0`, `${layout}:one`]);
    const index = JSON.parse(await readFile(temp.join('layout', 'index.json'), 'utf8')) as {
      readonly manifests: readonly {readonly digest: string}[];
    };
    expect(index.manifests.map((entry) => entry.digest)).toEqual([digest, digest]);
  });

  test('--yes is understood by the command that asks', async () => {
    await using registry = await startSandbox();
    await using temp = await tempDirectory();
    await storeImage(registry.storage, 'a' as RepositoryPath, 'v1', [Buffer.from('x')]);
    const plan = temp.join('p.plan.json');
    const wanted = ['plan', 'delete', `${registry.host}/a`, '--tag', '*', '--yes'];
    expect((await transship([...wanted, '--out', plan])).code).toBe(0);
    expect((await transship(['apply', plan])).code).toBe(64);
    expect((await transship(['apply', plan, '--yes'])).code).toBe(0);
    expect(await registry.storage.manifests.tags('a' as RepositoryPath)).toEqual([]);
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
