import {readFile, rm, writeFile} from 'node:fs/promises';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import type {VerifyResult} from '../../src/model/outcome.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {isDigestOf, type LayoutManifest, LayoutFiles, tagOf} from '../support/layout-files.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const IMAGE = `oci:${layoutDirectory('busybox')}:1.35`;

let temp: TempDirectory;
let plan: string;
/** The image in the layout `out`: the manifests, children first. */
let image: readonly LayoutManifest[];

beforeEach(async () => {
  temp = await tempDirectory();
  plan = temp.join('p.json');
  await transship(['plan', 'copy', IMAGE, `oci:${temp.join('out')}`, '--out', plan]);
  await transship(['apply', plan]);
  const layout = await LayoutFiles.open(temp.join('out'));
  const root = layout.entries.find((entry) => tagOf(entry) === '1.35');
  image = root ? await layout.walk(root) : [];
});
afterEach(() => temp[Symbol.asyncDispose]());

const fileOf = (digest: string): string => temp.join('out', 'blobs', ...digest.split(':'));
const blob = (): string => image[0]?.blobs[0] ?? '';
const child = (): string => image[0]?.digest ?? '';

async function expectWhole(): Promise<void> {
  for (const digest of image.flatMap((manifest) => [manifest.digest, ...manifest.blobs]))
    expect(isDigestOf(digest, await readFile(fileOf(digest)))).toBe(true);
}

describe.each([
  ['a blob', blob],
  ['a manifest', child],
])('%s', (_, digest) => {
  test.each(['other bytes', 'another size', 'nothing'])(
    'with %s is found by verify',
    async (how) => {
      const {byteLength} = await readFile(fileOf(digest()));
      if (how === 'nothing') await rm(fileOf(digest()));
      else await writeFile(fileOf(digest()), Buffer.alloc(how === 'other bytes' ? byteLength : 7));
      const verified = await transship(['verify', plan, '--format', 'json']);
      expect(verified).toMatchObject({code: 2});
      const {differences} = JSON.parse(verified.stdout) as VerifyResult;
      expect(differences.map((difference) => difference.digest)).toContain(digest());
    },
  );

  test('that is forged is found by verify, also in an image that was there when the plan was made', async () => {
    const again = temp.join('again.json');
    await transship(['plan', 'copy', IMAGE, `oci:${temp.join('out')}`, '--out', again]);
    expect(await transship(['verify', again])).toMatchObject({code: 0});
    await writeFile(fileOf(digest()), 'forged');
    const verified = await transship(['verify', again, '--format', 'json']);
    expect(verified).toMatchObject({code: 2});
    const {differences} = JSON.parse(verified.stdout) as VerifyResult;
    expect(differences.map((difference) => difference.digest)).toContain(digest());
  });

  test('with another size is copied again', async () => {
    await writeFile(fileOf(digest()), 'forged');
    expect(await transship(['copy', IMAGE, `oci:${temp.join('out')}`])).toMatchObject({code: 0});
    await expectWhole();
  });
});
