import {expect, test} from 'vitest';
import type {RepositoryPath} from '../../src/model/reference.ts';
import {startSandbox} from '../../src/sandbox/sandbox.ts';
import {runCli} from '../support/cli.ts';
import {someBytes, storeImage} from '../support/small-images.ts';

test('SIGUSR2 prints the progress of a run, whatever --progress is', async () => {
  let kill: ((signal: 'SIGUSR2') => void) | undefined;
  const told = Promise.withResolvers<void>();
  await using sandbox = await startSandbox({
    intercept: async ({method, path}, next) => {
      if (method === 'GET' && path.includes('/blobs/')) {
        kill?.('SIGUSR2');
        await told.promise;
      }
      return await next();
    },
  });
  const from = 'from/app' as RepositoryPath;
  await storeImage(sandbox.storage, from, 'v1', [someBytes(1000)]);
  const places = [
    `${sandbox.host}/${from}`,
    `${sandbox.host.replace('127.0.0.1', 'localhost')}/to`,
  ];
  const run = await runCli(['copy', ...places, '--progress', 'none'], {
    onStart: (child) => {
      kill = child.kill;
    },
    onStderr: () => told.resolve(),
  });
  expect(run.code).toBe(0);
  expect(run.stderr).toMatch(/^(?:0 of 1 images, 0 B of .*\n)+$/);
});
