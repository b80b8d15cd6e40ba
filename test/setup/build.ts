import {execFile} from 'node:child_process';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Once before all tests: builds the program as it is shipped, for the tests that start it as a process. From the
 * sources it takes three times as long to start, and some tests start it a hundred times.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'transship-build-'));
  const dist = join(directory, 'dist');
  const rolldown = join(ROOT, 'node_modules', 'rolldown', 'bin', 'cli.mjs');
  await promisify(execFile)(process.execPath, [rolldown, '-c', '--dir', dist], {cwd: ROOT});
  process.env['TRANSSHIP_TEST_MAIN'] = join(dist, 'cli', 'main.cjs');
  process.env['TRANSSHIP_TEST_COMPILED'] = join(directory, 'compiled');
  return () => rm(directory, {recursive: true, force: true});
}
