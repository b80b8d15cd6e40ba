import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import {readFile, writeFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {needTool} from '../support/debian-tool.ts';
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

  test('the sandbox accepts its default login', async () => {
    const args = ['sandbox', '--port', '0', '--auth', '--user', 'me', '--password', 'secret-word'];
    const run = await transship(args, {stopping: AbortSignal.abort()});
    expect(run).toMatchObject({code: 0, stdout: expect.stringContaining('http://127.0.0.1:')});
  });

  test('flags for what is always the case are accepted', async () => {
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
    expect(one.stdout).toContain(`${to}:v0, ${to}:stable, ${to}:latest`);
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

/** What a shell offers after these words, the last of them begun. */
type Complete = (...words: readonly string[]) => Promise<readonly string[]>;

async function withCompletion(
  shell: 'bash' | 'zsh' | 'fish',
  use: (complete: Complete) => Promise<void>,
): Promise<void> {
  await using temp = await tempDirectory();
  const script = temp.join('script');
  await writeFile(script, (await transship(['completion', shell])).stdout);
  const program = shell === 'bash' ? 'bash' : await needTool(shell);
  await use(async (...words) => {
    const quoted = words.map((word) => `'${word}'`).join(' ');
    const text = {
      bash: `source ${script}; COMP_WORDS=(transship ${quoted}); COMP_CWORD=${words.length}; _transship; printf '%s\\n' "\${COMPREPLY[@]}"`,
      // What the completion system brings along, as far as it is used; compadd takes what fits.
      zsh: `compdef() { :; }; _files() { :; }; compadd() { shift; print -l -- \${(M)@:#$words[CURRENT]*}; }; source ${script}; words=(transship ${quoted}); CURRENT=${words.length + 1}; _transship`,
      fish: `source ${script}; complete -C 'transship ${words.join(' ')}'`,
    }[shell];
    const flags = {bash: ['--norc', '-c'], zsh: ['-f', '-c'], fish: ['--no-config', '-c']}[shell];
    const {stdout} = await promisify(execFile)(program, [...flags, text], {cwd: temp.path});
    return stdout.split('\n').flatMap((line) => line.split('\t')[0] || []);
  });
}

describe.each(['bash', 'zsh', 'fish'] as const)('completion in %s', (shell) => {
  test('completes commands, flags and their values', async () => {
    await withCompletion(shell, async (complete) => {
      expect(await complete('ver')).toEqual(['verify']);
      expect(await complete('plan', 'del')).toEqual(['delete']);
      const keep = await complete('plan', 'delete', 'a/b', '--keep');
      expect(keep.toSorted()).toEqual(['--keep', '--keep-newest']);
      expect(await complete('copy', '--quiet', 'a', '--dry')).toEqual(['--dry-run']);
      expect(await complete('copy', '--deb')).toEqual(['--debug']);
      // What is only understood, as skopeo's, is not offered.
      expect(await complete('copy', '--src-tls')).toEqual([]);
      const policies = await complete('apply', 'p.json', '--on-failure', '');
      expect(policies.toSorted()).toEqual(['continue', 'stop']);
      expect((await complete('completion', '')).toSorted()).toEqual(['bash', 'fish', 'zsh']);
    });
  });
});

test('there is a completion for no other shell', async () => {
  const run = await transship(['completion', 'tcsh']);
  expect([run.code, run.stderr.includes('bash, zsh, fish')]).toEqual([64, true]);
});
