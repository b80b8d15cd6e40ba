import {utimes, writeFile, readdir} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {type Digest, digestOf, hexOf} from '../../src/model/digest.ts';
import {ContentCache} from '../../src/places/content-cache.ts';
import {tempDirectory} from '../support/temp.ts';

const EMPTY: [Digest, Buffer] = [digestOf(''), Buffer.alloc(0)];
const bytesOf = (text: string) => Buffer.from(text.padEnd(4096));
const keys = (count: number) =>
  Array.from({length: count}, (_, n): [Digest, Buffer] => {
    const bytes = bytesOf(`content ${n}`);
    return [digestOf(bytes), bytes];
  });

async function fileOf(directory: string, digest: Digest): Promise<string> {
  const names = await readdir(directory, {recursive: true});
  return join(directory, names.find((name) => name.endsWith(hexOf(digest))) ?? '');
}

test('what was not used for longest goes first', async () => {
  await using temp = await tempDirectory();
  const all = keys(10);
  const cache = new ContentCache(temp.path, 5 * 4096);
  for (const [n, [digest, bytes]] of all.entries()) {
    await cache.write('r/a', digest, bytes);
    const at = new Date(2020, 0, n + 1);
    await utimes(await fileOf(temp.path, digest), at, at);
  }
  const [[first, content] = EMPTY] = all;
  expect(await cache.read('r/a', first)).toEqual(content);
  await cache.sweep();
  const left: number[] = [];
  for (const [n, [digest]] of all.entries()) if (await cache.read('r/a', digest)) left.push(n);
  expect(left).toEqual([0, 6, 7, 8, 9]);
});

test('content is kept for the repository that it was read from', async () => {
  await using temp = await tempDirectory();
  const [[digest, bytes] = EMPTY] = keys(1);
  await new ContentCache(temp.path).write('r/a', digest, bytes);
  const cache = new ContentCache(temp.path);
  expect([await cache.isUsed('r/a'), await cache.isUsed('r/b')]).toEqual([true, false]);
  expect(await cache.read('r/b', digest)).toBeUndefined();
  expect(await cache.read('r/a', digest)).toEqual(bytes);
});

test('bytes with another digest are not given', async () => {
  await using temp = await tempDirectory();
  const [[digest, bytes] = EMPTY] = keys(1);
  const cache = new ContentCache(temp.path);
  await cache.write('r/a', digest, bytes);
  await writeFile(await fileOf(temp.path, digest), 'other');
  expect(await cache.read('r/a', digest)).toBeUndefined();
  await cache.write('r/a', digest, bytes);
  expect(await cache.read('r/a', digest)).toEqual(bytes);
});

test('several writers of one content do not disturb each other', async () => {
  await using temp = await tempDirectory();
  const all = keys(20);
  const caches = [1, 2, 3].map(() => new ContentCache(temp.path));
  await Promise.all(
    caches.flatMap((cache) => all.map(([digest, bytes]) => cache.write('r/a', digest, bytes))),
  );
  for (const [digest, bytes] of all)
    expect(await new ContentCache(temp.path).read('r/a', digest)).toEqual(bytes);
});
