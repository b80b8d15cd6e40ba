import {access, writeFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {removeFile} from '../../src/places/durable-file.ts';
import {tempDirectory} from '../support/temp.ts';

test('a file is removed, and need not exist', async () => {
  await using temp = await tempDirectory();
  const file = temp.join('file');
  await writeFile(file, '');
  await removeFile(file);
  await expect(access(file)).rejects.toMatchObject({code: 'ENOENT'});
  await removeFile(file);
  await removeFile(`${temp.join('none')}/file`);
});

test('a file that cannot be removed is reported', async () => {
  await using temp = await tempDirectory();
  await expect(removeFile(temp.path)).rejects.toThrow(temp.path);
});
