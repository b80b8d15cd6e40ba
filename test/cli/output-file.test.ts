import {constants} from 'node:fs';
import {open, readFile, stat, writeFile} from 'node:fs/promises';
import {expect, it} from 'vitest';
import {writeOutput} from '../../src/library/output-file.ts';
import {MAIN} from '../support/cli.ts';
import {layoutDirectory} from '../support/fixtures.ts';
import {runProgram} from '../support/program.ts';
import {tempDirectory} from '../support/temp.ts';

async function makePipe(path: string): Promise<string> {
  expect((await runProgram('mkfifo', [path])).code).toBe(0);
  return path;
}

it('waits for a pipe that nothing reads, but not for ever', async () => {
  await using temp = await tempDirectory();
  const pipe = await makePipe(temp.join('pipe'));
  await expect(writeOutput(pipe, ['text'], 0)).rejects.toThrow(/no program reads from/);
  expect((await stat(pipe)).isFIFO()).toBe(true);
  const written = writeOutput(pipe, ['text']);
  expect((await runProgram('cat', [pipe])).stdout).toBe('text');
  await written;
});

it('ends where the reader of a pipe takes nothing', async () => {
  await using temp = await tempDirectory();
  const pipe = await makePipe(temp.join('pipe'));
  await using reader = await open(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
  const much = ['x'.repeat(1024 * 1024)];
  await expect(writeOutput(pipe, much, 0)).rejects.toThrow(/takes nothing/);
  expect((await reader.read(Buffer.alloc(16), 0, 16, null)).bytesRead).toBe(16);
});

it('appends to an open file', async () => {
  await using temp = await tempDirectory();
  const [out, report] = [temp.join('out'), temp.join('report')];
  await writeFile(out, 'before\n');
  await writeFile(report, 'before\n');
  const args = ['plan', 'copy', `oci:${layoutDirectory('helm')}`, `oci:${temp.join('to')}`];
  const command = '"$@" --quiet --format json --out /dev/fd/3 3>>out >report';
  const run = await runProgram('sh', ['-c', command, 'sh', process.execPath, MAIN, ...args], {
    cwd: temp.path,
    env: {HOME: temp.join('home'), NODE_DISABLE_COMPILE_CACHE: '1'},
  });
  expect(run).toMatchObject({code: 0, stderr: ''});
  const written = await readFile(out, 'utf8');
  expect(written.slice(0, 'before\n{'.length)).toBe('before\n{');
  const {id} = JSON.parse(await readFile(report, 'utf8')) as {readonly id: string};
  expect(JSON.parse(written.slice('before\n'.length))).toMatchObject({id});
});
