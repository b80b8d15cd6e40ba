import {PassThrough} from 'node:stream';
import {expect, test} from 'vitest';
import {askAtTerminal} from '../../src/cli/io.ts';
import {collect} from '../support/streams.ts';

test.each([
  ['y\n', true],
  ['Yes\n', true],
  ['n\n', false],
  ['\n', false],
  ['yesterday\n', false],
  ['', false],
])('%j is answered: %s', async (typed, expected) => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const asked = askAtTerminal(input, output)('Go on?');
  input.end(typed);
  expect(await asked).toBe(expected);
  output.end();
  expect((await collect(output)).toString()).toContain('Go on? [y/N] ');
});
