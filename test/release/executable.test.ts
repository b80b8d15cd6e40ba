import {mkdir, realpath} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {makeExecutable} from '../../release/executable.ts';
import {readProduct} from '../../release/release.ts';
import {tryCopy, tryVersion} from '../../release/try-program.ts';
import {runProgram} from '../support/program.ts';
import {tempDirectory} from '../support/temp.ts';

// Node is copied and changed: that takes a while on a busy machine.
test('the single executable does what the program does', async () => {
  await using temp = await tempDirectory();
  const program = await makeExecutable(temp.join('made'));
  // Elsewhere, with nothing beside it and no Node on the PATH.
  const files = temp.join('files');
  await mkdir(files);
  const env = {HOME: temp.join('home'), PATH: '/usr/bin/none'};
  const command = {file: program, args: [], env};
  await tryVersion(command, (await readProduct()).version);
  await tryCopy(command, files);
  const usage = await runProgram(program, ['copy'], {env, cwd: await realpath(files)});
  expect(usage).toMatchObject({code: 64, stdout: ''});
  const completion = await runProgram(program, ['completion', 'bash'], {env});
  expect(completion.stdout).toContain('complete -o default -F _transship transship');
}, 180_000);
