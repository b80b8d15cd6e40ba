import {mkdir, readdir, readFile, rename, symlink, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {expect, test} from 'vitest';
import {type Digest, digestOf} from '../../src/model/digest.ts';
import {ContentCache} from '../../src/places/content-cache.ts';
import {tempDirectory} from '../support/temp.ts';

const EMPTY: [Digest, Buffer] = [digestOf(''), Buffer.alloc(0)];
const keys = (count: number) =>
  Array.from({length: count}, (_, n): [Digest, Buffer] => {
    const bytes = Buffer.from(`content ${n}`.padEnd(4096));
    return [digestOf(bytes), bytes];
  });

async function filesOf(directory: string, extension: string): Promise<readonly string[]> {
  const names = await readdir(directory, {recursive: true});
  return names.filter((name) => name.endsWith(extension)).map((name) => join(directory, name));
}

/** As a process does that reads this one thing. */
async function keep(directory: string, [digest, bytes]: [Digest, Buffer]): Promise<void> {
  const cache = new ContentCache(directory);
  await cache.write('r/a', digest, bytes);
  await cache.close();
}

test('the least recently used content is removed first', async () => {
  await using temp = await tempDirectory();
  const all = keys(10);
  const known = new Set<string>();
  for (const [n, key] of all.entries()) {
    await keep(temp.path, key);
    const at = new Date(2020, 0, n + 1);
    for (const pack of await filesOf(temp.path, '.pack')) {
      if (!known.has(pack)) await utimes(pack, at, at);
      known.add(pack);
    }
  }
  await writeFile(temp.join('swept'), '');
  await utimes(temp.join('swept'), 0, 0);
  const [[first, content] = EMPTY] = all;
  const cache = new ContentCache(temp.path, {limit: 5 * 4096});
  expect(await cache.read('r/a', first)).toEqual(content);
  await cache.write('r/b', ...EMPTY);
  await cache.write('r/b', digestOf('x'), Buffer.from('x'));
  await cache.close();
  const later = new ContentCache(temp.path);
  const left: number[] = [];
  for (const [n, [digest]] of all.entries()) if (await later.read('r/a', digest)) left.push(n);
  expect(left).toEqual([0, 7, 8, 9]);
});

test('content is kept for the repository that it was read from', async () => {
  await using temp = await tempDirectory();
  const [[digest, bytes] = EMPTY] = keys(1);
  await keep(temp.path, [digest, bytes]);
  const cache = new ContentCache(temp.path);
  expect([await cache.isUsed('r/a'), await cache.isUsed('r/b')]).toEqual([true, false]);
  expect(await cache.read('r/b', digest)).toBeUndefined();
  expect(await cache.read('r/a', digest)).toEqual(bytes);
});

test('what one process reads is written into few files', async () => {
  await using temp = await tempDirectory();
  const all = keys(2000);
  const cache = new ContentCache(temp.path);
  for (const [digest, bytes] of all) await cache.write('r/a', digest, bytes);
  await cache.close();
  expect((await filesOf(temp.path, '')).length).toBeLessThan(10);
  const later = new ContentCache(temp.path);
  for (const [digest, bytes] of all) expect(await later.read('r/a', digest)).toEqual(bytes);
});

test.each([
  ['of another digest', '.pack', 'other'.repeat(1000)],
  ['cut', '.pack', ''],
  ['without an index', '.index', 'no index\nsha256:1 x y\n'],
])('content %s is not given, and kept again', async (_what, extension, text) => {
  await using temp = await tempDirectory();
  const [[digest, bytes] = EMPTY] = keys(1);
  await keep(temp.path, [digest, bytes]);
  for (const file of await filesOf(temp.path, extension)) await writeFile(file, text);
  const cache = new ContentCache(temp.path);
  expect(await cache.read('r/a', digest)).toBeUndefined();
  await cache.write('r/a', digest, bytes);
  await cache.close();
  expect(await new ContentCache(temp.path).read('r/a', digest)).toEqual(bytes);
});

test('an index that names more than a pack has is not believed', async () => {
  await using temp = await tempDirectory();
  const [[digest, bytes] = EMPTY] = keys(1);
  await keep(temp.path, [digest, bytes]);
  for (const file of await filesOf(temp.path, '.index'))
    await writeFile(file, `${digest} 0 99999999999\n`);
  expect(await new ContentCache(temp.path).read('r/a', digest)).toBeUndefined();
});

test('several writers of one content do not disturb each other', async () => {
  await using temp = await tempDirectory();
  const all = keys(20);
  const caches = [1, 2, 3].map(() => new ContentCache(temp.path));
  await Promise.all(
    caches.flatMap((cache) => all.map(([digest, bytes]) => cache.write('r/a', digest, bytes))),
  );
  await Promise.all(caches.map((cache) => cache.close()));
  for (const [digest, bytes] of all)
    expect(await new ContentCache(temp.path).read('r/a', digest)).toEqual(bytes);
});

test('content can be read while it is being written to disk', async () => {
  await using temp = await tempDirectory();
  const cache = new ContentCache(temp.path);
  const [[digest, bytes] = EMPTY] = keys(1);
  await cache.write('r/a', digest, bytes);
  const closed = cache.close().then(() => 'closed');
  while ((await Promise.race([closed, nextTurn()])) !== 'closed')
    expect(await cache.read('r/a', digest)).toEqual(bytes);
});

/** A folder of the user with packs as git has them, which were last used long ago. */
async function packsOfGit(folder: string): Promise<readonly string[]> {
  await mkdir(folder);
  for (const name of ['pack-1', '0f0e0d0c-0b0a-4908-8706-050403020100'])
    for (const extension of ['.pack', '.index']) {
      await writeFile(join(folder, name + extension), Buffer.alloc(4096));
      await utimes(join(folder, name + extension), 0, 0);
    }
  return await readdir(folder);
}

/** Links as somebody may put them into a cache: a restored cache of a CI job is one that others wrote. */
test.each([
  ['among its folders', (folder: string) => join(folder, '..', 'f'.repeat(32))],
  ['within one of them', (folder: string) => join(folder, 'more')],
  ['in place of one', (folder: string) => folder],
])('a link to another folder, %s, has nothing of that removed or written', async (_, at) => {
  await using temp = await tempDirectory();
  await keep(temp.join('cache'), ['sha256:0' as Digest, Buffer.alloc(4096)]);
  const [folder = ''] = (await readdir(temp.join('cache'))).filter((name) => name !== 'swept');
  const own = temp.join('cache', folder);
  const before = await packsOfGit(temp.join('git'));
  if (at(own) === own) await rename(own, temp.join('kept'));
  await symlink(temp.join('git'), at(own));
  await utimes(temp.join('cache', 'swept'), 0, 0);
  const cache = new ContentCache(temp.join('cache'), {limit: 1});
  for (const key of keys(3)) await cache.write('r/a', ...key);
  await cache.write('r/b', ...EMPTY);
  await cache.close();
  expect(await readdir(temp.join('git'))).toEqual(before);
});

test('a link in place of the time of the last sweep has no file emptied', async () => {
  await using temp = await tempDirectory();
  await writeFile(temp.join('mine'), 'my words');
  await utimes(temp.join('mine'), 0, 0);
  await mkdir(temp.join('cache'));
  await symlink(temp.join('mine'), temp.join('cache', 'swept'));
  await utimes(temp.join('mine'), 0, 0);
  await keep(temp.join('cache'), ['sha256:0' as Digest, Buffer.alloc(4096)]);
  expect(await readFile(temp.join('mine'), 'utf8')).toBe('my words');
});
