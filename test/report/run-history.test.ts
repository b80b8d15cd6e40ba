import {expect, it} from 'vitest';
import type {JournalEntry} from '../../src/apply/journal-file.ts';
import {runHistory} from '../../src/apply/run-history.ts';
import {copiesOf} from '../../src/model/plan.ts';
import {renderPlan} from '../../src/report/plan-document.ts';
import {largePlan, largeRoutes} from '../support/large-plan.ts';
import {shardJournals} from '../support/run-journals.ts';

const plan = largePlan(largeRoutes(40, 10, () => ({})));
const journals = shardJournals(plan, 4);
const history = runHistory(plan, journals);

it('omits the time without a run, and reports it', () => {
  // Each half of a shard takes 20 minutes and the last tail of a step; shards begin half a minute after one another.
  expect(history).toMatchObject({
    began: '2026-03-02T20:00:00.000Z',
    ended: '2026-03-03T08:21:30.000Z',
    breaks: [{at: expect.any(Number)}],
  });
  expect(history?.workedMs).toBeLessThan(45 * 60_000);
  expect(history?.breaks[0]?.ms).toBeGreaterThan(11 * 60 * 60_000);
  expect(renderPlan(plan, 'html', {history})).toContain('1 break between runs (11 h ');
});

it('counts what each run did', () => {
  const [killed, ended] = [history?.runs[0], history?.runs.at(-1)];
  expect(killed).toMatchObject({done: 50, failed: 0, retries: 2});
  expect(killed).not.toHaveProperty('result');
  expect(ended).toMatchObject({result: 'failed', done: 48, failed: 2});
  const done = history?.slices.reduce((sum, slice) => sum + slice.done, 0);
  expect(done).toBe(copiesOf(plan).length - 8);
});

it('adds up to the bytes that were sent, over time', () => {
  const sent = journals
    .flatMap(({entries}) => entries)
    .reduce((sum, entry) => sum + (entry.type === 'blob' ? (entry.bytes ?? 0) : 0), 0);
  const shown = history?.slices.reduce((sum, {bytes}) => sum + bytes, 0) ?? 0;
  expect(Math.abs(shown - sent)).toBeLessThan(100);
});

it('names failures with their codes and hints, as text', () => {
  const html = renderPlan(plan, 'html', {history});
  expect(html).toContain('Attempts that failed</span> (8)');
  expect(html).toContain('unknown media type &lt;b&gt;x&lt;/b&gt;');
  expect(html).toContain('<div class="hint">exclude the image</div>');
  expect(html).not.toContain('<b>');
});

it('is as large for 10,000 images as for some hundreds', () => {
  const large = largePlan(largeRoutes(500, 20, () => ({})));
  const all = runHistory(large, shardJournals(large, 4));
  const [plain, page] = [renderPlan(large, 'html'), renderPlan(large, 'html', {history: all})];
  expect(page.length - plain.length).toBeLessThan(300_000);
});

it('shows runs, and no times, of journals without times', () => {
  const old = journals.map(({file, entries}) => ({
    file,
    entries: entries.flatMap((entry): JournalEntry[] => {
      if (entry.type === 'retry') return [];
      if (entry.type !== 'blob' && entry.type !== 'step') return [entry];
      const {at: _at, ms: _ms, ...rest} = entry;
      return [rest];
    }),
  }));
  const html = renderPlan(plan, 'html', {history: runHistory(plan, old)});
  expect(html).toContain('The journals do not say when each image was copied');
  expect(html).toContain('Runs</span> (8)');
  expect(html).toContain('Attempts that failed</span> (8)');
  expect(html).not.toContain('<svg');
});

it('is nothing where no run has begun', () => {
  expect(runHistory(plan, [{file: 'x', entries: []}])).toBeUndefined();
});
