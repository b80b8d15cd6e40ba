import {expect, test} from 'vitest';
import {cacheFolder, homeFolder, stateFolder} from '../../src/cli/user-folders.ts';

function unknown(): never {
  throw new Error('uv_os_homedir returned ENOENT');
}

test('the home is what the system says', () => {
  expect(homeFolder(() => '/home/someone')).toBe('/home/someone');
});

test.each(['', 'somewhere'])('a home of "%s" is the root folder', (home) => {
  expect(homeFolder(() => home)).toBe('/');
});

test('a user that the system does not know has the root folder, as container runtimes have it', () => {
  expect(homeFolder(unknown)).toBe('/');
});

const BELOW_HOME = ['/home/someone/.cache/transship', '/home/someone/.local/state/transship'];

test.each([
  [{}, BELOW_HOME],
  [{XDG_CACHE_HOME: '', XDG_STATE_HOME: ''}, BELOW_HOME],
  [{XDG_CACHE_HOME: 'c', XDG_STATE_HOME: './s'}, BELOW_HOME],
  [{XDG_CACHE_HOME: '/c', XDG_STATE_HOME: '/s'}, ['/c/transship', '/s/transship']],
])('with %o files are in %o', (env, folders) => {
  const found = [cacheFolder(env, '/home/someone'), stateFolder(env, '/home/someone')];
  expect(found).toEqual(folders);
});
