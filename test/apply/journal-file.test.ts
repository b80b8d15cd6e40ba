import {readFile, writeFile} from 'node:fs/promises';
import {expect, test, vi} from 'vitest';
import {type JournalEntry, JournalWriter, readJournal} from '../../src/apply/journal-file.ts';
import {tempDirectory} from '../support/temp.ts';

const STEP: JournalEntry = {type: 'step', id: 's', outcome: 'done'};
const END: JournalEntry = {type: 'end', result: 'done', at: '2026-01-01T00:00:00.000Z'};

test('lines added while the disk is busy are all written, in order', async () => {
  await using temp = await tempDirectory();
  const file = temp.join('j');
  const {writer} = await JournalWriter.open(file);
  const steps = Array.from({length: 50}, (_, at): JournalEntry => {
    return {type: 'step', id: `s${at}`, outcome: 'done'};
  });
  await Promise.all(steps.map((step) => writer.append(step)));
  await writer[Symbol.asyncDispose]();
  expect(await readJournal(file)).toEqual(steps);
});

test('notes precede later entries, and are written when the journal is closed', async () => {
  await using temp = await tempDirectory();
  const file = temp.join('j');
  const {writer} = await JournalWriter.open(file);
  writer.note(STEP);
  await writer.append(END);
  expect(await readJournal(file)).toEqual([STEP, END]);
  writer.note(STEP);
  await writer[Symbol.asyncDispose]();
  expect(await readJournal(file)).toEqual([STEP, END, STEP]);
});

test('a note is written even if no entry follows', async () => {
  await using temp = await tempDirectory();
  const file = temp.join('j');
  const {writer} = await JournalWriter.open(file);
  await using _ = writer;
  for (let notes = 1; notes <= 3; notes += 1) {
    writer.note(STEP);
    await vi.waitFor(async () => {
      expect(await readJournal(file)).toHaveLength(notes);
    });
  }
});

test('a note that came while another entry was being written does not hold up those after it', async () => {
  await using temp = await tempDirectory();
  const file = temp.join('j');
  const {writer} = await JournalWriter.open(file);
  await using _ = writer;
  vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
  try {
    const appended = writer.append(END);
    writer.note(STEP);
    await appended;
    while ((await readJournal(file)).length < 2) await new Promise((go) => setImmediate(go));
    await vi.advanceTimersByTimeAsync(1000);
    writer.note(STEP);
    await vi.advanceTimersByTimeAsync(1000);
  } finally {
    vi.useRealTimers();
  }
  await vi.waitFor(async () => {
    expect(await readJournal(file)).toEqual([END, STEP, STEP]);
  });
});

test('after a line that could not be written none is added any more', async () => {
  await using temp = await tempDirectory();
  const file = temp.join('j');
  const {writer} = await JournalWriter.open(file);
  await writer.append(END);
  // A closed file can be written as little as a full disk.
  await writer[Symbol.asyncDispose]();
  for (let tries = 0; tries < 3; tries += 1) {
    const both = await Promise.allSettled([writer.append(END), writer.append(END)]);
    expect(both).toMatchObject([
      {status: 'rejected', reason: {code: 'JOURNAL_WRITE_FAILED'}},
      {status: 'rejected', reason: {code: 'JOURNAL_WRITE_FAILED'}},
    ]);
    expect(() => writer.note(END)).toThrow(expect.objectContaining({code: 'JOURNAL_WRITE_FAILED'}));
  }
  expect(await readJournal(file)).toEqual([END]);
});

test('half a line at the end is cut off before more is added', async () => {
  await using temp = await tempDirectory();
  const file = temp.join('j');
  await writeFile(file, `${JSON.stringify(END)}\n{"type":"st`);
  const {writer, entries} = await JournalWriter.open(file);
  expect(entries).toEqual([END]);
  await writer.append(END);
  await writer[Symbol.asyncDispose]();
  expect(await readFile(file, 'utf8')).toBe(`${JSON.stringify(END)}\n`.repeat(2));
});
