import {expect, test} from 'vitest';
import {runProgram} from '../support/program.ts';

const NODE = process.execPath;

test('returns the exit code and both outputs', async () => {
  const script = `process.stdin.on('data', (text) => process.stdout.write(text));
    process.stderr.write('problem');
    process.exitCode = 3;`;
  expect(await runProgram(NODE, ['-e', script], {stdin: 'in'})).toEqual({
    code: 3,
    stdout: 'in',
    stderr: 'problem',
  });
});

test('a program sees nothing of the environment that it should not', async () => {
  process.env['REGISTRY_AUTH_FILE'] = '/secret';
  const script = 'process.stdout.write(JSON.stringify(process.env))';
  const {stdout} = await runProgram(NODE, ['-e', script], {env: {GIVEN: 'yes'}});
  const env = JSON.parse(stdout) as Record<string, string>;
  expect(env['GIVEN']).toBe('yes');
  expect(env).not.toHaveProperty('REGISTRY_AUTH_FILE');
  expect(env).not.toHaveProperty('HOME');
});

test('a signal is reported as in a shell, an abort kills', async () => {
  const forever = ['-e', 'setInterval(() => {}, 1000)'];
  const stopped = await runProgram(NODE, forever, {onStart: ({kill}) => kill('SIGTERM')});
  expect(stopped.code).toBe(143);
  const abort = new AbortController();
  const killed = await runProgram(NODE, forever, {
    signal: abort.signal,
    onStart: () => abort.abort(),
  });
  expect(killed.code).toBe(137);
});

test('a program that is not there is an error', async () => {
  await expect(runProgram('/nonesuch', [])).rejects.toThrow('ENOENT');
});
