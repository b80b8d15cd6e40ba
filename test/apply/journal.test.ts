import {readFile, rm} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {openJournal} from '../../src/apply/journal.ts';
import {Redactor} from '../../src/http/secrets.ts';
import {digestOf} from '../../src/model/digest.ts';
import {tempDirectory} from '../support/temp.ts';

test('an upload is remembered with the least chunk that it takes', async () => {
  await using temp = await tempDirectory();
  const options = {
    file: temp.join('j'),
    plan: digestOf('plan'),
    now: () => new Date(0),
    redactor: new Redactor(),
  };
  const digest = digestOf('blob');
  const to = 'registry.example.com/app';
  const upload = {digest, location: '/v2/app/blobs/uploads/1', offset: 7, minChunk: 5_242_880};
  {
    await using journal = await openJournal(options);
    await journal.append({type: 'upload', to, ...upload});
  }
  await using journal = await openJournal(options);
  expect(journal.savedUpload(digest, to)).toEqual(upload);
});

test('a run that was halted and lost its lock writes nothing more', async () => {
  await using temp = await tempDirectory();
  const options = {
    file: temp.join('j'),
    plan: digestOf('plan'),
    now: () => new Date(0),
    redactor: new Redactor(),
  };
  await using journal = await openJournal(options);
  // Another process took the lock away.
  await rm(temp.join('j.lock'), {recursive: true});
  const lost = {code: 'JOURNAL_WRITE_FAILED'};
  await expect(journal.end('done')).rejects.toMatchObject(lost);
  const before = await readFile(temp.join('j'), 'utf8');
  await expect(journal.end('done')).rejects.toMatchObject(lost);
  expect(() => journal.note({type: 'rollback'})).toThrow(expect.objectContaining(lost));
  expect(await readFile(temp.join('j'), 'utf8')).toBe(before);
});
