import {readFile, writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {type IndexChange, LayoutIndex} from '../../src/places/layout-index.ts';
import {tempDirectory} from '../support/temp.ts';

const ENTRY = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest: `sha256:${'a'.repeat(64)}`,
  size: 1,
};

function adding(digit: string): IndexChange {
  return (entries) => [...entries, {...ENTRY, digest: `sha256:${digit.repeat(64)}`}];
}

test('a directory with an index alone is made a layout', async () => {
  await using temp = await tempDirectory();
  await writeFile(temp.join('index.json'), '{"schemaVersion": 2, "manifests": []}');
  await new LayoutIndex(temp.path, temp.join('scratch')).update(() => [ENTRY]);
  expect(JSON.parse(await readFile(temp.join('oci-layout'), 'utf8'))).toEqual({
    imageLayoutVersion: '1.0.0',
  });
});

test('what somebody else wrote between two changes is kept', async () => {
  await using temp = await tempDirectory();
  const index = new LayoutIndex(temp.path, temp.join('scratch'));
  await index.update(adding('a'));
  await new LayoutIndex(temp.path, temp.join('scratch')).update(adding('b'));
  await index.update(adding('c'));
  const digests = (await index.entries())?.map(({digest}) => digest[7]);
  expect(digests).toEqual(['a', 'b', 'c']);
});
