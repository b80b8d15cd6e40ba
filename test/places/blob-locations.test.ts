import {mkdir, readdir, readFile, stat, symlink, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {beforeEach, describe, expect, onTestFinished, test} from 'vitest';
import {type Digest, digestOf} from '../../src/model/digest.ts';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {BlobLocations} from '../../src/places/blob-locations.ts';
import {tempDirectory} from '../support/temp.ts';

let directory: string;

beforeEach(async () => {
  const temp = await tempDirectory();
  onTestFinished(() => temp[Symbol.asyncDispose]());
  directory = temp.join('cache', 'blobs');
});

const LAYER = blob('layer');

function blob(content: string): Digest {
  return digestOf(Buffer.from(content));
}

function at(path: string, registry = 'registry.example.com') {
  return {registry, path: path as RepositoryPath};
}

/** What one process does. */
async function inProcess<T>(
  work: (locations: BlobLocations) => T | Promise<T>,
  limit?: number,
): Promise<T> {
  await using locations = new BlobLocations(directory, limit === undefined ? {} : {limit});
  return await work(locations);
}

function found(path: string, digest = LAYER, registry?: string) {
  return inProcess((locations) => locations.find(at(path, registry), digest));
}

async function files(): Promise<readonly string[]> {
  return (await readdir(directory)).map((name) => join(directory, name));
}

test('a later process finds where a blob was seen, and not in the repository that wants it', async () => {
  await inProcess((locations) => locations.add(at('team/a'), LAYER));
  expect(await found('team/b')).toBe('team/a');
  expect(await found('team/a')).toBeUndefined();
  expect(await found('team/b', blob('other'))).toBeUndefined();
  expect(await found('team/b', LAYER, 'other.example.com')).toBeUndefined();
});

test('of several repositories, the one below the same groups is found, else the newest', async () => {
  await inProcess((locations) => {
    for (const path of ['acme/x/old', 'acme/y/app', 'other/one', 'other/two'])
      locations.add(at(path), LAYER);
  });
  expect(await found('acme/x/new')).toBe('acme/x/old');
  expect(await found('acme/z')).toBe('acme/y/app');
  expect(await found('elsewhere')).toBe('other/two');
});

test('a forgotten location is not found, unless it is seen again', async () => {
  await inProcess((locations) => locations.add(at('team/a'), LAYER));
  await inProcess((locations) => locations.forget(at('team/a'), LAYER));
  expect(await found('team/b')).toBeUndefined();
  await inProcess((locations) => locations.add(at('team/a'), LAYER));
  expect(await found('team/b')).toBe('team/a');
});

test('the oldest repositories of a blob are dropped', async () => {
  await inProcess((locations) => {
    for (const path of ['a', 'b', 'c', 'd', 'e']) locations.add(at(path), LAYER);
  });
  await inProcess((locations) => {
    for (const path of ['e', 'd', 'c', 'b']) locations.forget(at(path), LAYER);
  });
  expect(await found('x')).toBeUndefined();
});

test('a known location is not written again', async () => {
  await inProcess((locations) => locations.add(at('team/a'), LAYER));
  const [file = ''] = await files();
  const before = await readFile(file, 'utf8');
  await inProcess((locations) => locations.add(at('team/a'), LAYER));
  expect(await readFile(file, 'utf8')).toBe(before);
});

test('two concurrent processes lose nothing', async () => {
  await using first = new BlobLocations(directory);
  await using second = new BlobLocations(directory);
  expect(await first.find(at('x'), LAYER)).toBeUndefined();
  expect(await second.find(at('x'), LAYER)).toBeUndefined();
  for (let n = 0; n < 100; n++) {
    first.add(at('first'), blob(`a${n}`));
    second.add(at('second'), blob(`b${n}`));
    await Promise.all([first, second].map((one) => one.flush('registry.example.com')));
  }
  for (let n = 0; n < 100; n++) {
    expect(await found('x', blob(`a${n}`))).toBe('first');
    expect(await found('x', blob(`b${n}`))).toBe('second');
  }
});

describe('the size is bounded', () => {
  const LIMIT = 20_000;

  test('for a registry: the newest entries stay', async () => {
    await inProcess(async (locations) => {
      for (let n = 0; n < 1000; n++) {
        locations.add(at('team/a'), blob(`${n}`));
        if (n % 10 === 0) await locations.flush('registry.example.com');
      }
    }, LIMIT);
    const names = await files();
    expect(names).toHaveLength(1);
    expect((await stat(names[0] ?? '')).size).toBeLessThanOrEqual(LIMIT);
    expect(await found('x', blob('999'))).toBe('team/a');
    expect(await found('x', blob('0'))).toBeUndefined();
  });

  test('for all registries: those that were used last stay', async () => {
    for (let n = 0; n < 40; n++)
      await inProcess((locations) => locations.add(at('team/a', `r${n}.example.com`), LAYER));
    expect((await files()).length).toBeLessThanOrEqual(32);
    expect(await found('x', LAYER, 'r39.example.com')).toBe('team/a');
  });

  test('a file that is larger than any of ours is not read, and replaced', async () => {
    await inProcess((locations) => locations.add(at('team/a'), LAYER));
    const [file = ''] = await files();
    await truncate(file, 1024 * 1024 * 1024);
    expect(await found('team/b')).toBeUndefined();
    await inProcess((locations) => locations.add(at('team/a'), LAYER));
    expect(await found('team/b')).toBe('team/a');
  });
});

test.each([
  ['bytes', Buffer.from([0, 255, 10, 13, 10, 200])],
  [
    'lines of other forms',
    `+ ${LAYER}\n+ ${LAYER} ../x\n+ ${LAYER} a b\n* ${LAYER} a\nsha256:1 a\n`,
  ],
  ['JSON', '{"a":'],
])('a file of %s counts as empty, and takes new entries', async (_what, content) => {
  await inProcess((locations) => locations.add(at('team/a'), LAYER));
  const [file = ''] = await files();
  await writeFile(file, content);
  expect(await found('team/b')).toBeUndefined();
  const others = [blob('1'), blob('2')];
  await inProcess((locations) => others.forEach((other) => locations.add(at('team/a'), other)));
  // Half a line at the end of the file spoils the line after it.
  expect(await found('team/b', blob('2'))).toBe('team/a');
});

test('no link is followed', async () => {
  await inProcess((locations) => locations.add(at('team/a'), LAYER));
  const [file = ''] = await files();
  const content = await readFile(file);
  const elsewhere = join(directory, '..', 'elsewhere');
  await writeFile(elsewhere, content);
  await mkdir(`${directory}2`);
  await symlink(elsewhere, file.replace(directory, `${directory}2`));
  directory = `${directory}2`;
  expect(await found('team/b')).toBeUndefined();
});

test('a link in place of the directory has no file there removed, and none written', async () => {
  const mine = join(directory, '..', 'mine');
  await mkdir(mine, {recursive: true});
  for (let n = 0; n < 40; n++) await writeFile(join(mine, n.toString(16).padStart(32, '0')), 'x');
  await symlink(mine, directory);
  await inProcess((locations) => locations.add(at('team/a'), LAYER));
  expect(await readdir(mine)).toHaveLength(40);
});

test('a directory that cannot be made is no failure', async () => {
  await mkdir(join(directory, '..'), {recursive: true});
  await writeFile(directory, 'in the way');
  await inProcess((locations) => locations.add(at('team/a'), LAYER));
  expect(await found('team/b')).toBeUndefined();
});

test('files are readable by their owner only, and contain no names of registries', async () => {
  await inProcess((locations) => locations.add(at('team/a'), LAYER));
  const [file = ''] = await files();
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(file).not.toContain('example');
});
