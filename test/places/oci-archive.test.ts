import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {createWriteStream, existsSync, writeFileSync} from 'node:fs';
import {
  access,
  mkdir,
  readdir,
  readFile,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {createGzip, gzipSync, zstdCompressSync} from 'node:zlib';
import {describe, expect, test} from 'vitest';
import {pack} from 'tar-stream';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {runCli} from '../support/cli.ts';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {startHttpServer} from '../support/http-server.ts';
import {LayoutFiles, tagOf} from '../support/layout-files.ts';
import {pushImage} from '../support/push-image.ts';
import {skopeo} from '../support/skopeo.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const BUSYBOX = `oci:${layoutDirectory('busybox')}`;

/** The names below a directory that are not our own scratch space. */
async function filesOf(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory, {recursive: true});
  return names.filter((name) => !name.startsWith('.transship')).sort();
}

test('keeps every image on the way into an archive and out of it', async () => {
  await using directory = await tempDirectory();
  const archive = `oci-archive:${directory.join('a.tar')}`;
  expect((await transship(['copy', BUSYBOX, archive])).code).toBe(0);
  expect(await filesOf(directory.path)).toEqual(['a.tar']);

  expect((await transship(['copy', archive, `oci:${directory.join('out')}`])).code).toBe(0);

  const {tags} = (await readCorpus()).busybox;
  for (const [tag, {digest}] of Object.entries(tags)) {
    const args = ['inspect', '--raw', `oci:${directory.join('out')}:${tag}`];
    const {stdout} = await skopeo(args);
    expect(`sha256:${createHash('sha256').update(stdout).digest('hex')}`).toBe(digest);
  }
});

test('adds to an archive that is there', async () => {
  await using directory = await tempDirectory();
  const archive = `oci-archive:${directory.join('a.tar')}`;
  await transship(['copy', `${BUSYBOX}:1.35`, `${archive}:first`]);
  await transship(['copy', `${BUSYBOX}:1.35-amd64`, `${archive}:second`]);
  const plan = await transship([
    'plan',
    'copy',
    archive,
    `oci:${directory.join('x')}`,
    '--format',
    'json',
  ]);
  const {steps} = JSON.parse(plan.stdout) as {steps: {tag: string}[]};
  expect(steps.map(({tag}) => tag).sort()).toEqual(['first', 'second']);
});

describe('a compressed archive', () => {
  test.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ])('by %s is read, and reported if it is truncated', async (_name, compress) => {
    await using directory = await tempDirectory();
    const [plain, file] = [directory.join('a.tar'), directory.join('a.tar.z')];
    await transship(['copy', `${BUSYBOX}:1.35-amd64`, `oci-archive:${plain}:one`]);
    const bytes = await readFile(plain);
    await writeFile(file, compress(bytes));
    const to = `oci:${directory.join('out')}`;
    expect((await transship(['copy', `oci-archive:${file}:one`, to])).code).toBe(0);
    const {stdout} = await skopeo(['inspect', '--raw', `${to}:one`]);
    const {digest} = (await readCorpus()).busybox.tags['1.35-amd64'] ?? {};
    expect(`sha256:${createHash('sha256').update(stdout).digest('hex')}`).toBe(digest);

    const whole = compress(bytes);
    const cuts = [
      whole.subarray(0, -9),
      whole.subarray(0, 900),
      compress(bytes.subarray(0, 9_000)),
    ];
    for (const cut of cuts) {
      await writeFile(file, cut);
      const told = toldError(await transship(['copy', `oci-archive:${file}`, to]));
      expect(told).toMatchObject({code: 'FILE_INVALID', exit: 64});
    }
  });

  test('that Node cannot read is named', async () => {
    await using directory = await tempDirectory();
    const file = directory.join('a.tar.xz');
    await writeFile(file, Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4]));
    const told = toldError(await transship(['copy', `oci-archive:${file}`, 'oci:x']));
    expect(told).toMatchObject({code: 'FILE_INVALID', exit: 64});
    expect(told.message).toContain('compressed with xz; decompress it first');
  });

  test('does not fill the disk', async () => {
    await using directory = await tempDirectory();
    await using temporary = await tempDirectory();
    const file = directory.join('a.tar.gz');
    const archive = pack();
    archive.entry({name: `blobs/sha256/${'a'.repeat(64)}`}, Buffer.alloc(100 * 1024 * 1024));
    archive.finalize();
    await pipeline(archive, createGzip(), createWriteStream(file));
    const copy = ['copy', `oci-archive:${file}`, `oci:${directory.join('out')}`];
    const told = toldError(await runCli(copy, {env: {TMPDIR: temporary.path}}));
    expect(told).toMatchObject({code: 'FILE_INVALID', exit: 64});
    expect(told.message).toContain('decompress it first');
    expect(await readdir(temporary.path)).toEqual([]);
  });
});

test('an absent file, or one that is not an archive, is reported', async () => {
  await using directory = await tempDirectory();
  await writeFile(directory.join('text.tar'), 'this is no tar file, but long enough'.repeat(40));
  const to = `oci:${directory.join('out')}`;
  const missing = await transship(['copy', `oci-archive:${directory.join('none.tar')}`, to]);
  expect(toldError(missing)).toMatchObject({code: 'FILE_UNREADABLE', exit: 64});
  const other = await transship(['copy', `oci-archive:${directory.join('text.tar')}`, to]);
  expect(toldError(other)).toMatchObject({code: 'FILE_INVALID', exit: 64});
});

test.each([1, 600, 5_000, 700_000])(
  'an archive without its last %i bytes is reported, and leaves nothing',
  async (cut) => {
    await using directory = await tempDirectory();
    const file = directory.join('a.tar');
    await transship(['copy', `${BUSYBOX}:1.35-amd64`, `oci-archive:${file}`]);
    // Two blocks of zeros end an archive, and are missed by nobody.
    await truncate(file, (await stat(file)).size - 1024 - cut);
    await using temporary = await tempDirectory();
    const env = {TMPDIR: temporary.path};
    const copy = [
      'copy',
      `oci-archive:${file}`,
      `oci:${directory.join('out')}`,
      '--progress',
      'json',
    ];
    const run = await runCli(copy, {env});
    expect(run.code).toBe(64);
    const told = run.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as {error?: {code: string}});
    expect(told.at(-1)?.error?.code).toBe('FILE_INVALID');
    expect(await readdir(temporary.path)).toEqual([]);
    const add = await runCli(['copy', `${BUSYBOX}:1.35`, `oci-archive:${file}`], {env});
    expect(add).toMatchObject({code: 64});
    expect(await filesOf(directory.path)).toEqual(['a.tar']);
  },
);

test('an archive that is shorter than an entry is reported', async () => {
  await using directory = await tempDirectory();
  const archive = pack();
  archive.entry({name: 'index.json', size: 2 ** 40});
  const [header] = await once(archive, 'data');
  archive.destroy();
  await writeFile(directory.join('a.tar'), Buffer.concat([header as Buffer, Buffer.alloc(4096)]));
  const run = await transship([
    'copy',
    `oci-archive:${directory.join('a.tar')}`,
    `oci:${directory.join('o')}`,
  ]);
  expect(toldError(run)).toMatchObject({code: 'FILE_INVALID', exit: 64});
});

test('an archive ends where its blocks of zeros begin, however many there are', async () => {
  await using directory = await tempDirectory();
  const file = directory.join('a.tar');
  await copyTo(file);
  // A file with a hole: 8 TiB, none of which are on the disk.
  await truncate(file, 2 ** 43);
  const run = await transship(['copy', `oci-archive:${file}`, `oci:${directory.join('out')}`]);
  expect(run).toMatchObject({code: 0});
});

test('zeros inside an entry do not end an archive', async () => {
  await using directory = await tempDirectory();
  await using sandbox = await startSandbox();
  await pushImage(sandbox.url, 'zeros', 'v1', {
    layers: [Buffer.alloc(5 * 2 ** 20), Buffer.from('x')],
  });
  const archive = `oci-archive:${directory.join('a.tar')}`;
  expect(await transship(['copy', `${sandbox.host}/zeros`, archive])).toMatchObject({code: 0});
  expect(await transship(['copy', archive, `oci:${directory.join('out')}`])).toMatchObject({
    code: 0,
  });
});

test('a signal that ends the process immediately leaves no temporary directory', async () => {
  await using directory = await tempDirectory();
  await using temporary = await tempDirectory();
  await transship(['copy', BUSYBOX, `oci-archive:${directory.join('a.tar')}`]);
  await using server = await startHttpServer(() => {
    kill?.('SIGINT');
    kill?.('SIGINT');
    kill?.('SIGINT');
  });
  let kill: ((signal: NodeJS.Signals) => void) | undefined;
  const copy = ['copy', `oci-archive:${directory.join('a.tar')}`, `${server.host}/app`];
  const {code} = await runCli(copy, {
    env: {TMPDIR: temporary.path},
    onStart: (program) => {
      kill = program.kill;
    },
  });
  expect(code).toBe(130);
  expect(await readdir(temporary.path)).toEqual([]);
});

const copyTo = (file: string) =>
  transship(['copy', `${BUSYBOX}:1.35-amd64`, `oci-archive:${file}`]);

describe('other content beside an archive', () => {
  test.each(['a.tar.tmp', 'a.tar.layout'])(
    '%s: the target of a link is not changed',
    async (name) => {
      await using directory = await tempDirectory();
      await mkdir(directory.join('precious'));
      await writeFile(directory.join('precious', 'file'), 'precious');
      const isDirectory = name.endsWith('layout');
      await symlink(isDirectory ? 'precious' : join('precious', 'file'), directory.join(name));
      const run = await copyTo(directory.join('a.tar'));
      expect(run.code).toBe(isDirectory ? 3 : 0);
      expect(await filesOf(directory.join('precious'))).toEqual(['file']);
      expect(await readFile(directory.join('precious', 'file'), 'utf8')).toBe('precious');
    },
  );

  test.each(['blobs/sha256/zzz', `blobs/sha256/${'a'.repeat(64)}`, 'index.json'])(
    'a link in the directory, as %s, is not packed',
    async (name) => {
      await using directory = await tempDirectory();
      await writeFile(directory.join('secret'), 'the secret');
      const planted = directory.join('a.tar.layout', name);
      await mkdir(dirname(planted), {recursive: true});
      await symlink(directory.join('secret'), planted);
      const run = await copyTo(directory.join('a.tar'));
      expect(toldError(run)).toMatchObject({code: 'DESTINATION_CONFLICT', exit: 3});
      await expect(access(directory.join('a.tar'))).rejects.toThrow('ENOENT');
    },
  );

  test('a file that no image leads to is not packed', async () => {
    await using directory = await tempDirectory();
    const planted = directory.join('a.tar.layout', 'blobs', 'sha256', 'a'.repeat(64));
    await mkdir(dirname(planted), {recursive: true});
    await writeFile(planted, 'planted');
    await markAsOurs(directory.join('a.tar.layout'));
    expect(await copyTo(directory.join('a.tar'))).toMatchObject({code: 0});
    expect(await readFile(directory.join('a.tar'), 'latin1')).not.toContain('planted');
  });

  test('a blob with other bytes is not packed', async () => {
    await using directory = await tempDirectory();
    const source = await LayoutFiles.open(layoutDirectory('busybox'));
    const root = source.entries.find((entry) => tagOf(entry) === '1.35-amd64');
    const [manifest] = root ? await source.walk(root) : [];
    const [blob = ''] = manifest?.blobs ?? [];
    const planted = directory.join('a.tar.layout', 'blobs', ...blob.split(':'));
    await mkdir(dirname(planted), {recursive: true});
    await writeFile(planted, Buffer.alloc((await source.read(blob))?.byteLength ?? 0));
    await markAsOurs(directory.join('a.tar.layout'));
    await copyTo(directory.join('a.tar'));
    const packed = await readFile(directory.join('a.tar')).catch(() => source.read(blob));
    expect(packed?.includes((await source.read(blob)) ?? '')).toBe(true);
  });
});

/** As an interrupted run leaves the directory in which it gathers an archive. */
async function markAsOurs(directory: string): Promise<void> {
  await mkdir(join(directory, '.transship'), {recursive: true});
  await writeFile(join(directory, '.transship', 'archive'), 'whole');
}

test('no entry gets out of the directory', async () => {
  await using directory = await tempDirectory();
  const hostile = pack();
  for (const name of ['../escaped', 'blobs/sha256/../../../escaped', '/tmp/../escaped']) {
    hostile.entry({name}, 'x');
  }
  hostile.finalize();
  await pipeline(hostile, createWriteStream(directory.join('evil.tar')));
  const run = await transship([
    'copy',
    `oci-archive:${directory.join('evil.tar')}`,
    `oci:${directory.join('out')}`,
  ]);
  expect(toldError(run)).toMatchObject({code: 'FILE_INVALID', exit: 64});
  expect(await filesOf(directory.path)).toEqual(['evil.tar']);
});

test('a failed run leaves no archive that looks complete', async () => {
  await using directory = await tempDirectory();
  const file = directory.join('a.tar');
  const run = await transship(['copy', `${BUSYBOX}:nope`, `oci-archive:${file}`]);
  expect(run.code).toBe(1);
  await expect(access(file)).rejects.toThrow('ENOENT');
});

test.each([
  ['files of the user', 'notes.txt'],
  ['a layout of the user', 'oci-layout'],
])('%s in the directory beside the archive stay, and stop the copy', async (_what, name) => {
  await using directory = await tempDirectory();
  const beside = directory.join('a.tar.layout');
  await mkdir(beside);
  await writeFile(join(beside, name), '{"imageLayoutVersion":"1.0.0"}');
  const copied = await transship(['copy', BUSYBOX, `oci-archive:${directory.join('a.tar')}`]);
  expect(toldError(copied)).toMatchObject({code: 'DESTINATION_CONFLICT', exit: 3});
  expect(await readdir(beside)).toEqual([name]);
});

test('files added during the run are not removed', async () => {
  await using directory = await tempDirectory();
  const beside = directory.join('a.tar.layout');
  const kept = join(beside, 'notes.txt');
  let isPut = false;
  const copied = await transship(
    ['copy', BUSYBOX, `oci-archive:${directory.join('a.tar')}`, '--progress', 'json'],
    {
      onStderr: () => {
        if (isPut || !existsSync(beside)) return;
        isPut = true;
        writeFileSync(kept, 'mine');
      },
    },
  );
  expect([copied.code, isPut]).toEqual([0, true]);
  expect(await readdir(beside)).toEqual(['notes.txt']);
});

test('an archive that was unpacked in part only is unpacked anew', async () => {
  await using directory = await tempDirectory();
  const file = directory.join('a.tar');
  await transship(['copy', `${BUSYBOX}:1.35`, `oci-archive:${file}:first`]);
  // What a run leaves that is killed while it unpacks.
  const scratch = directory.join('a.tar.layout', '.transship');
  await mkdir(scratch, {recursive: true});
  await writeFile(join(scratch, 'archive'), 'part');
  await transship(['copy', `${BUSYBOX}:1.35-amd64`, `oci-archive:${file}:second`]);
  const plan = await transship([
    'plan',
    'copy',
    `oci-archive:${file}`,
    `oci:${directory.join('x')}`,
  ]);
  expect(plan.stdout).toContain(':first');
  expect(plan.stdout).toContain(':second');
});
