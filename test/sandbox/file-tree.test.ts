import {buffer} from 'node:stream/consumers';
import {describe, expect, test} from 'vitest';
import {DirectoryTree, type FileTree, MemoryTree} from '../../src/sandbox/file-tree.ts';
import {tempDirectory} from '../support/temp.ts';

async function* chunks(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

async function* broken(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
  throw new Error('broken off');
}

async function part(tree: FileTree, start: number, end: number): Promise<string> {
  return (await buffer(tree.read('a/b/c', {start, end}))).toString();
}

describe.each(['memory', 'directory'])('the tree in the %s', (kind) => {
  async function withTree(work: (tree: FileTree) => Promise<void>): Promise<void> {
    await using temp = await tempDirectory();
    await work(kind === 'memory' ? new MemoryTree() : new DirectoryTree(temp.join('root')));
  }

  test('contains what was stored, and nothing else', () =>
    withTree(async (tree) => {
      await tree.store('a/b/c', Buffer.from('old'));
      await tree.store('a/b/c', Buffer.from('new!'));
      expect(Buffer.from((await tree.load('a/b/c')) ?? '').toString()).toBe('new!');
      expect(await tree.size('a/b/c')).toBe(4);
      for (const path of ['a/b/d', 'a/b', 'a/b/c/d', 'x/y']) {
        expect(await tree.size(path)).toBeUndefined();
      }
      expect(await tree.load('a/b/d')).toBeUndefined();
    }));

  test('reads any part of appended chunks', () =>
    withTree(async (tree) => {
      await tree.append('a/b/c', chunks('01', '', '234'));
      await tree.append('a/b/c', chunks('56789'));
      expect(await part(tree, 0, 10)).toBe('0123456789');
      expect(await part(tree, 1, 3)).toBe('12');
      expect(await part(tree, 4, 6)).toBe('45');
      expect(await part(tree, 5, 5)).toBe('');
      expect(await part(tree, 9, 10)).toBe('9');
    }));

  test('keeps what arrived of a body that breaks off', () =>
    withTree(async (tree) => {
      await expect(tree.append('a/b/c', broken('hello'))).rejects.toThrow('broken off');
      expect(await tree.size('a/b/c')).toBe(5);
      await tree.append('a/b/c', chunks(' you'));
      expect(await part(tree, 0, 9)).toBe('hello you');
    }));

  test('moves over another file, removes, lists', () =>
    withTree(async (tree) => {
      await tree.store('a/b/c', Buffer.from('old'));
      await tree.append('d/e', chunks('new'));
      await tree.move('d/e', 'a/b/c');
      expect(await part(tree, 0, 3)).toBe('new');
      await tree.store('a/b/x', Buffer.from('x'));
      expect([...(await tree.list('a/b'))].sort()).toEqual(['c', 'x']);
      expect(await tree.list('a/none')).toEqual([]);
      expect(await tree.list('a/b/c')).toEqual([]);
      expect(await tree.remove('a/b/c')).toBe(true);
      expect(await tree.remove('a/b/c')).toBe(false);
      expect(await tree.list('a/b')).toEqual(['x']);
      await expect(tree.move('a/b/c', 'a/b/y')).rejects.toThrow('a/b/c');
    }));
});

test('the directory has no way out', async () => {
  await using temp = await tempDirectory();
  const tree = new DirectoryTree(temp.join('root'));
  for (const path of ['../secret', 'a/../../secret', '..', 'a/../..']) {
    await expect(tree.store(path, Buffer.from('x'))).rejects.toThrow('outside');
    await expect(tree.size(path)).rejects.toThrow('outside');
  }
});
