import {expect, test} from 'vitest';
import {undoLimits, writeUnkept} from '../../src/apply/undo-file.ts';
import {type Digest, digestOf} from '../../src/model/digest.ts';
import {type Manifest, parseManifest} from '../../src/model/manifest.ts';
import {OCI_INDEX} from '../../src/model/media-type.ts';
import type {RepositoryReader} from '../../src/model/port.ts';
import {NEVER} from '../support/streams.ts';

/** Indexes by digest, as a registry has them. */
class Content {
  readonly all = new Map<string, Manifest>();

  index(children: readonly Manifest[], padding = 0): Manifest {
    const manifests = children.map(({descriptor}) => descriptor);
    const annotations = {padding: ' '.repeat(padding)};
    const text = JSON.stringify({schemaVersion: 2, mediaType: OCI_INDEX, manifests, annotations});
    const bytes = Buffer.from(text);
    const digest = digestOf(bytes);
    const manifest = parseManifest(bytes, OCI_INDEX, digest, 'destination');
    this.all.set(digest, manifest);
    return manifest;
  }

  nested(levels: number): Manifest {
    let outer = this.index([]);
    for (let level = 0; level < levels; level += 1) outer = this.index([outer], level);
    return outer;
  }
}

/** Writes what is to be kept of an image, and gives the digests that were written. */
async function written(content: Content, root: Manifest): Promise<readonly Digest[]> {
  const found: Digest[] = [];
  const undo = {
    has: () => false,
    write: async ({descriptor}: Manifest) => void found.push(descriptor.digest),
    keep: async () => undefined,
  };
  const getManifest = (digest: string) => Promise.resolve(content.all.get(digest));
  const repository = {name: 'r.test/app', getManifest} as unknown as RepositoryReader;
  const limits = undoLimits(repository.name, 'destination');
  const digests = await writeUnkept(repository, root, undo, limits, {signal: NEVER});
  expect(digests.toSorted()).toEqual(found.toSorted());
  return digests;
}

test('an image with 32 levels of indexes is kept', async () => {
  const content = new Content();
  expect(await written(content, content.nested(32))).toHaveLength(33);
});

test('one with more levels is not, which is said before it is deleted', async () => {
  const content = new Content();
  await expect(written(content, content.nested(3000))).rejects.toMatchObject({
    code: 'MANIFEST_INVALID',
    message: expect.stringContaining('nested deeper than 32 levels'),
    side: 'destination',
    hint: expect.stringContaining('--no-undo'),
  });
});

test('nor is one with more than 16 MiB of manifests', async () => {
  const content = new Content();
  const large = Array.from({length: 6}, (_, n) => content.index([], 3 * 2 ** 20 + n));
  await expect(written(content, content.index(large))).rejects.toMatchObject({
    code: 'MANIFEST_TOO_LARGE',
  });
});

test('what several indexes list is written once', async () => {
  const content = new Content();
  let pair = [content.index([], 1), content.index([], 2)];
  for (let level = 0; level < 20; level += 1)
    pair = [content.index(pair, 1), content.index(pair, 2)];
  expect(await written(content, content.index(pair))).toHaveLength(43);
});
