import {expect, test} from 'vitest';
import {cacheFolder, homeFolder, stateFolder} from '../../src/cli/user-folders.ts';

function unknown(): never {
  throw new Error('uv_os_homedir returned ENOENT');
}

test('the home is what the system says', () => {
  expect(homeFolder(() => '/home/someone')).toBe('/home/someone');
});

test('a user that the system does not know has the root folder, as container runtimes have it', () => {
  expect(homeFolder(unknown)).toBe('/');
});

test.each([
  [{}, '/home/someone/.cache/transship', '/home/someone/.local/state/transship'],
  [
    {XDG_CACHE_HOME: '', XDG_STATE_HOME: ''},
    '/home/someone/.cache/transship',
    '/home/someone/.local/state/transship',
  ],
  [{XDG_CACHE_HOME: '/c', XDG_STATE_HOME: '/s'}, '/c/transship', '/s/transship'],
])('with %o files are in %s and %s', (env, cache, state) => {
  expect(cacheFolder(env, '/home/someone')).toBe(cache);
  expect(stateFolder(env, '/home/someone')).toBe(state);
});
