import {MAIN} from '../support/cli.ts';
import {stat} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {cacheDirectory, homeDirectory, stateDirectory} from '../../src/cli/user-directories.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {runProgram} from '../support/program.ts';
import {tempDirectory} from '../support/temp.ts';

function unknown(): never {
  throw new Error('uv_os_homedir returned ENOENT');
}

test('the home is what the system says', () => {
  expect(homeDirectory(() => '/home/someone')).toBe('/home/someone');
});

test.each(['', 'somewhere'])('a home of "%s" is the root directory', (home) => {
  expect(homeDirectory(() => home)).toBe('/');
});

test('a user that the system does not know has the root directory, as container runtimes have it', () => {
  expect(homeDirectory(unknown)).toBe('/');
});

const BELOW_HOME = ['/home/someone/.cache/transship', '/home/someone/.local/state/transship'];

test.each([
  [{}, BELOW_HOME],
  [{XDG_CACHE_HOME: '', XDG_STATE_HOME: ''}, BELOW_HOME],
  [{XDG_CACHE_HOME: 'c', XDG_STATE_HOME: './s'}, BELOW_HOME],
  [{XDG_CACHE_HOME: '/c', XDG_STATE_HOME: '/s'}, ['/c/transship', '/s/transship']],
])('with %o files are in %o', (env, directories) => {
  const found = [cacheDirectory(env, '/home/someone'), stateDirectory(env, '/home/someone')];
  expect(found).toEqual(directories);
});

test.each([0o000, 0o022, 0o077])(
  'with the umask %o, only the user can access the directories',
  async (mask) => {
    await using home = await tempDirectory();
    await using other = await tempDirectory();
    const env = {HOME: home.path, NODE_DISABLE_COMPILE_CACHE: ''};
    const from = `oci:${layoutDirectory('busybox')}:1.35-amd64`;
    const shell = `umask ${mask.toString(8)}; exec "$@"`;
    const args = [process.execPath, MAIN, 'plan', 'copy', from, `oci:${other.join('x')}`, '--out'];
    const {code} = await runProgram('sh', ['-c', shell, 'sh', ...args, other.join('p.json')], {
      env,
    });
    expect(code).toBe(0);
    for (const directory of [
      '.cache/transship',
      '.local/state/transship',
      '.local/state/transship/plans',
    ])
      expect(((await stat(home.join(directory))).mode & 0o777).toString(8)).toBe('700');
  },
);
