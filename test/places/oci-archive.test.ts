import {createHash} from 'node:crypto';
import {createWriteStream, existsSync, writeFileSync} from 'node:fs';
import {access, mkdir, readdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {pipeline} from 'node:stream/promises';
import {expect, test} from 'vitest';
import {pack} from 'tar-stream';
import {toldError} from '../support/error-lines.ts';
import {layoutDirectory, readCorpus} from '../support/fixtures.ts';
import {skopeo} from '../support/skopeo.ts';
import {tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const BUSYBOX = `oci:${layoutDirectory('busybox')}`;

/** The names below a folder that are not our own scratch space. */
async function filesOf(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory, {recursive: true});
  return names.filter((name) => !name.startsWith('.transship')).sort();
}

test('keeps every image on the way into an archive and out of it', async () => {
  await using folder = await tempDirectory();
  const archive = `oci-archive:${folder.join('a.tar')}`;
  expect((await transship(['copy', BUSYBOX, archive])).code).toBe(0);
  expect(await filesOf(folder.path)).toEqual(['a.tar']);

  expect((await transship(['copy', archive, `oci:${folder.join('out')}`])).code).toBe(0);

  const {tags} = (await readCorpus()).busybox;
  for (const [tag, {digest}] of Object.entries(tags)) {
    const args = ['inspect', '--raw', `oci:${folder.join('out')}:${tag}`];
    const {stdout} = await skopeo(args);
    expect(`sha256:${createHash('sha256').update(stdout).digest('hex')}`).toBe(digest);
  }
});

test('adds to an archive that is there', async () => {
  await using folder = await tempDirectory();
  const archive = `oci-archive:${folder.join('a.tar')}`;
  await transship(['copy', `${BUSYBOX}:1.35`, `${archive}:first`]);
  await transship(['copy', `${BUSYBOX}:1.35-amd64`, `${archive}:second`]);
  const plan = await transship([
    'plan',
    'copy',
    archive,
    `oci:${folder.join('x')}`,
    '--format',
    'json',
  ]);
  const {steps} = JSON.parse(plan.stdout) as {steps: {tag: string}[]};
  expect(steps.map(({tag}) => tag).sort()).toEqual(['first', 'second']);
});

test('a file that is missing, or no archive, is told', async () => {
  await using folder = await tempDirectory();
  await writeFile(folder.join('text.tar'), 'this is no tar file, but long enough'.repeat(40));
  const to = `oci:${folder.join('out')}`;
  const missing = await transship(['copy', `oci-archive:${folder.join('none.tar')}`, to]);
  expect(toldError(missing)).toMatchObject({code: 'FILE_UNREADABLE', exit: 64});
  const other = await transship(['copy', `oci-archive:${folder.join('text.tar')}`, to]);
  expect(toldError(other)).toMatchObject({code: 'FILE_INVALID', exit: 64});
});

test('no entry gets out of the folder', async () => {
  await using folder = await tempDirectory();
  const hostile = pack();
  for (const name of ['../escaped', 'blobs/sha256/../../../escaped', '/tmp/../escaped']) {
    hostile.entry({name}, 'x');
  }
  hostile.finalize();
  await pipeline(hostile, createWriteStream(folder.join('evil.tar')));
  const run = await transship([
    'copy',
    `oci-archive:${folder.join('evil.tar')}`,
    `oci:${folder.join('out')}`,
  ]);
  expect(toldError(run)).toMatchObject({code: 'FILE_INVALID', exit: 64});
  expect(await filesOf(folder.path)).toEqual(['evil.tar']);
});

test('a run that fails leaves no archive that looks whole', async () => {
  await using folder = await tempDirectory();
  const file = folder.join('a.tar');
  const run = await transship(['copy', `${BUSYBOX}:nope`, `oci-archive:${file}`]);
  expect(run.code).toBe(1);
  await expect(access(file)).rejects.toThrow('ENOENT');
});

test.each([
  ['files of the user', 'notes.txt'],
  ['a layout of the user', 'oci-layout'],
])('%s in the folder beside the archive stay, and stop the copy', async (_what, name) => {
  await using folder = await tempDirectory();
  const beside = folder.join('a.tar.layout');
  await mkdir(beside);
  await writeFile(join(beside, name), '{"imageLayoutVersion":"1.0.0"}');
  const copied = await transship(['copy', BUSYBOX, `oci-archive:${folder.join('a.tar')}`]);
  expect(toldError(copied)).toMatchObject({code: 'DESTINATION_CONFLICT', exit: 3});
  expect(await readdir(beside)).toEqual([name]);
});

test('what is put beside the images while they are gathered is not removed', async () => {
  await using folder = await tempDirectory();
  const beside = folder.join('a.tar.layout');
  const kept = join(beside, 'notes.txt');
  let isPut = false;
  const copied = await transship(
    ['copy', BUSYBOX, `oci-archive:${folder.join('a.tar')}`, '--progress', 'json'],
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
  await using folder = await tempDirectory();
  const file = folder.join('a.tar');
  await transship(['copy', `${BUSYBOX}:1.35`, `oci-archive:${file}:first`]);
  // What a run leaves that is killed while it unpacks.
  const scratch = folder.join('a.tar.layout', '.transship');
  await mkdir(scratch, {recursive: true});
  await writeFile(join(scratch, 'archive'), 'part');
  await transship(['copy', `${BUSYBOX}:1.35-amd64`, `oci-archive:${file}:second`]);
  const plan = await transship(['plan', 'copy', `oci-archive:${file}`, `oci:${folder.join('x')}`]);
  expect(plan.stdout).toContain(':first');
  expect(plan.stdout).toContain(':second');
});
