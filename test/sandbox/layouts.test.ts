import {writeFile} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import {isRepositoryPath, type RepositoryPath} from '../../src/model/reference.ts';
import {loadLayout} from '../../src/sandbox/load-layout.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {Storage} from '../../src/sandbox/storage.ts';
import {LAYOUTS, layoutDirectory, type LayoutName} from '../support/fixtures.ts';
import {pushLayout, verifyLayout} from '../support/independent.ts';
import {tempDirectory} from '../support/temp.ts';

/** What the sandbox refuses of the layouts, by tag: a layer nobody has, a child that is absent. */
const REFUSED: Partial<Record<LayoutName, readonly string[]>> = {
  foreign: ['no-urls'],
  sparse: ['amd64-only'],
};

function path(text: string): RepositoryPath {
  if (isRepositoryPath(text)) return text;
  throw new Error(`"${text}" is not a repository`);
}

describe.each(LAYOUTS)('%s', (name) => {
  test('is kept byte for byte, over a restart too', async () => {
    await using temp = await tempDirectory();
    const storage = {kind: 'directory', path: temp.path} as const;
    let tags: readonly string[];
    {
      await using sandbox = await startSandbox({storage});
      const pushed = await pushLayout(layoutDirectory(name), sandbox.url, `group/${name}`, {
        allowRefused: true,
      });
      expect([...pushed.refused.keys()]).toEqual(REFUSED[name] ?? []);
      ({tags} = pushed);
    }
    await using sandbox = await startSandbox({storage});
    const options = {tags, exactTags: true};
    const found = await verifyLayout(layoutDirectory(name), sandbox.url, `group/${name}`, options);
    expect(found.problems).toEqual([]);
  });
});

describe('loadLayout', () => {
  test.each(LAYOUTS.filter((name) => name !== 'odd'))(
    'puts all of %s into a repository',
    async (name) => {
      await using sandbox = await startSandbox();
      await loadLayout(sandbox.storage, layoutDirectory(name), path('a/b'));
      const found = await verifyLayout(layoutDirectory(name), sandbox.url, 'a/b', {
        exactTags: true,
      });
      expect(found.problems).toEqual([]);
      expect(found.manifests).toBeGreaterThan(0);
    },
  );

  test('reports why a directory is not a layout', async () => {
    await using temp = await tempDirectory();
    const load = () => loadLayout(new Storage({kind: 'memory'}), temp.path, path('a/b'));
    await expect(load()).rejects.toMatchObject({code: 'FILE_UNREADABLE'});
    await writeFile(temp.join('index.json'), '{"manifests": [{"digest": "../x"}]}');
    await expect(load()).rejects.toMatchObject({code: 'FILE_INVALID'});
  });
});
