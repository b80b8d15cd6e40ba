import {createHash} from 'node:crypto';
import {createWriteStream} from 'node:fs';
import {access, readdir, writeFile} from 'node:fs/promises';
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
