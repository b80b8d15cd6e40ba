import {chmod, lstat, mkdir, readdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {join, relative} from 'node:path';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {layoutDirectory} from '../support/fixtures.ts';
import {type TempDirectory, tempDirectory} from '../support/temp.ts';
import {transship} from '../support/transship.ts';

const LAYOUT = layoutDirectory('helm');
const cleanup = new AsyncDisposableStack();
let temp: TempDirectory;
let umask: number;

beforeAll(async () => {
  temp = cleanup.use(await tempDirectory());
  await mkdir(temp.join('work'));
  // As GitLab's runners have it.
  umask = process.umask(0);
});
afterAll(async () => {
  process.umask(umask);
  await cleanup.disposeAsync();
});

const run = async (...args: readonly string[]) => {
  const result = await transship(args, {home: temp.join('home')});
  expect(result).toMatchObject({code: 0});
};

const jobs = ['--parallel', '2', '--no-plan-job'];

/** Those below a folder whose modes have one of these bits. */
async function withBits(folder: string, bits: number): Promise<readonly string[]> {
  const names = await readdir(folder, {recursive: true});
  const modes = await Promise.all(
    names.map(async (name) => ({name, mode: (await lstat(join(folder, name))).mode})),
  );
  return modes.flatMap(({name, mode}) =>
    (mode & bits) === 0 ? [] : [`${relative(folder, name)} ${mode.toString(8)}`],
  );
}

const modeOf = async (file: string) => ((await lstat(file)).mode & 0o777).toString(8);

test('with the umask 0, nobody else can change what is written, or read what is private', async () => {
  const plan = temp.join('work', 'p.plan.json');
  const reports = ['--junit', temp.join('work', 'r.xml'), '--dotenv', temp.join('work', 'r.env')];
  const [from, to] = [`oci:${LAYOUT}`, `oci:${temp.join('work', 'new', 'layout')}`];
  await run('plan', 'copy', from, to, '--out', plan);
  await run('apply', plan, ...reports);
  await run('copy', from, `oci-archive:${temp.join('work', 'a.tar')}`);
  await run('copy', `${from}:0.1.0`, `dir:${temp.join('work', 'dir')}`);
  await run('pipeline', plan, '--out', temp.join('work', 'ci.yml'), ...jobs);
  expect(await withBits(temp.join('work'), 0o022)).toEqual([]);
  expect(await withBits(temp.join('home'), 0o077)).toEqual([]);
  expect(await modeOf(temp.join('work', 'p.journal.ndjson'))).toBe('600');
});

test('a journal that others could change no longer is', async () => {
  const plan = temp.join('other.plan.json');
  await run('plan', 'copy', `oci:${LAYOUT}`, `oci:${temp.join('other')}`, '--out', plan);
  await writeFile(temp.join('other.journal.ndjson'), '');
  await chmod(temp.join('other.journal.ndjson'), 0o666);
  await run('apply', plan);
  expect(await modeOf(temp.join('other.journal.ndjson'))).toBe('600');
});

test('a plan that only its owner could read stays so', async () => {
  const plan = temp.join('own.plan.json');
  await writeFile(plan, '');
  await chmod(plan, 0o600);
  await run('plan', 'copy', `oci:${LAYOUT}`, `oci:${temp.join('own')}`, '--out', plan);
  expect(await modeOf(plan)).toBe('600');
});

test('a link in the place of a pipeline is replaced, not followed', async () => {
  const [plan, link, victim] = [temp.join('l.plan.json'), temp.join('ci.yml'), temp.join('victim')];
  await run('plan', 'copy', `oci:${LAYOUT}`, `oci:${temp.join('l')}`, '--out', plan);
  await writeFile(victim, 'kept');
  await symlink(victim, link);
  await run('pipeline', plan, '--out', link, ...jobs);
  expect(await readFile(victim, 'utf8')).toBe('kept');
  expect(await readFile(link, 'utf8')).toContain('transship');
});
