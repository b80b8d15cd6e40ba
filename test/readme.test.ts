import {readFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {ERROR_CODES} from '../src/model/error-codes.ts';

test('the manual explains every error code, with its exit code', async () => {
  const manual = await readFile(new URL('../docs/errors.md', import.meta.url), 'utf8');
  const explained = new Map<string, number>();
  for (const [, codes = '', exit] of manual.matchAll(/^\| (`[A-Z_0-9`, ]+) \| (\d+) \|/gm)) {
    for (const [, code = ''] of codes.matchAll(/`([A-Z_0-9]+)`/g))
      explained.set(code, Number(exit));
  }
  expect(Object.fromEntries(explained)).toEqual(ERROR_CODES);
});
