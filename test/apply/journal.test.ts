import {readFile, rm} from 'node:fs/promises';
import {describe, expect, test} from 'vitest';
import type {JournalEntry} from '../../src/apply/journal-file.ts';
import {type JournalOptions, openJournal} from '../../src/apply/journal.ts';
import {Redactor} from '../../src/http/redaction.ts';
import {digestOf} from '../../src/model/digest.ts';
import type {Tag} from '../../src/model/reference.ts';
import {tempDirectory} from '../support/temp.ts';

function optionsFor(file: string): JournalOptions {
  return {file, plan: digestOf('plan'), now: () => new Date(0), redactor: new Redactor()};
}

test('an upload is remembered with the least chunk that it takes', async () => {
  await using temp = await tempDirectory();
  const options = optionsFor(temp.join('j'));
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
  const options = optionsFor(temp.join('j'));
  await using journal = await openJournal(options);
  // Another process took the lock away.
  await rm(temp.join('j.lock'), {recursive: true});
  const lost = {code: 'JOURNAL_WRITE_FAILED'};
  await expect(journal.end('done')).rejects.toMatchObject(lost);
  const before = await readFile(temp.join('j'), 'utf8');
  await expect(journal.end('done')).rejects.toMatchObject(lost);
  expect(() => journal.note({type: 'rollback', project: 12})).toThrow(
    expect.objectContaining(lost),
  );
  expect(await readFile(temp.join('j'), 'utf8')).toBe(before);
});

const now = () => new Date(0);

describe('the journal of another plan', () => {
  const transfer = {
    gitlab: 'https://gitlab.test',
    planFile: 'move.plan.json',
    projects: [{id: 12, from: 'org/app', to: 'team/app', donor: './donor'}],
  };
  const repository = 'registry.test/org/app';
  const deletion = (tag: string): JournalEntry => {
    return {type: 'delete', project: 12, repository, tag: tag as Tag, digest: digestOf(tag)};
  };

  /** Writes a journal as an earlier plan did, then opens it with another plan. */
  async function opened(
    entries: readonly JournalEntry[],
    end: 'done' | 'failed' | 'drift' | undefined,
    check: (journal: Awaited<ReturnType<typeof openJournal>>, file: string) => Promise<void>,
  ): Promise<void> {
    await using temp = await tempDirectory();
    const file = temp.join('j');
    {
      await using journal = await openJournal({
        file,
        plan: digestOf('first'),
        transfer,
        now,
        redactor: new Redactor(),
      });
      for (const entry of entries) await journal.append(entry);
      if (end !== undefined) {
        await journal.append({type: 'project-end', project: 12, result: end});
        await journal.end(end);
      }
    }
    await using journal = await openJournal({
      file,
      plan: digestOf('second'),
      now,
      redactor: new Redactor(),
    });
    await check(journal, file);
  }

  test.each<[string, JournalEntry[], 'failed' | 'drift' | undefined]>([
    ['that was killed', [deletion('v1')], undefined],
    ['that failed', [deletion('v1')], 'failed'],
    ['that found drift', [deletion('v1')], 'drift'],
    ['whose rollback failed', [deletion('v1'), {type: 'rollback', project: 12}], 'failed'],
  ])(
    '%s after deletions is refused, with the plan and the commands',
    async (_what, written, end) => {
      const open = opened(written, end, () => Promise.reject(new Error('it was opened')));
      await expect(open).rejects.toMatchObject({
        code: 'TRANSFER_UNFINISHED',
        message: expect.stringContaining('1 tag of org/app is gone from the old path'),
        hint: expect.stringMatching(/transship apply move\.plan\.json.*transship rollback move/),
      });
    },
  );

  test.each<[string, JournalEntry[], 'done' | 'failed' | 'drift' | undefined]>([
    ['that came to its end', [deletion('v1')], 'done'],
    ['that was rolled back', [deletion('v1'), {type: 'rollback', project: 12}], 'done'],
    [
      'whose deletion was refused',
      [deletion('v1'), {type: 'kept', project: 12, repository, tag: 'v1' as Tag}],
      'failed',
    ],
    ['that only copied', [{type: 'step', id: 'pull', outcome: 'done'}], undefined],
  ])('%s is put aside', async (_what, written, end) => {
    await opened(written, end, async (journal, file) => {
      expect(journal.continues).toBe(false);
      expect(journal.unfinished.deleted.size).toBe(0);
      expect(await readFile(`${file}.old`, 'utf8')).toContain(digestOf('first'));
      expect(await readFile(file, 'utf8')).not.toContain(digestOf('first'));
    });
  });

  test('is put aside and its paused cleanup policy remembered, also after that', async () => {
    const policy = {enabled: true, keep_n: 10};
    await opened([{type: 'pause', project: 7, policy}], undefined, async (journal, file) => {
      expect(journal.unfinished.paused).toEqual(new Map([[7, policy]]));
      await journal[Symbol.asyncDispose]();
      await using third = await openJournal({
        file,
        plan: digestOf('third'),
        now,
        redactor: new Redactor(),
      });
      expect(third.unfinished.paused).toEqual(new Map([[7, policy]]));
    });
  });

  test('is put aside, and its half-sent blobs go on', async () => {
    const digest = digestOf('blob');
    const upload = {digest, location: '/v2/app/blobs/uploads/1', offset: 7};
    await opened([{type: 'upload', to: repository, ...upload}], 'drift', async (journal) => {
      expect(journal.savedUpload(digest, repository)).toMatchObject(upload);
      await Promise.resolve();
    });
  });
});
