import {describe, expect, it} from 'vitest';
import {type Digest, digestOf} from '../../src/model/digest.ts';
import {parseAge, tagsTooOld} from '../../src/plan/age.ts';

const NOW = new Date('2026-03-01T12:00:00Z');

describe('parseAge', () => {
  it.each([
    ['12h', '2026-03-01T00:00:00.000Z'],
    ['90d', '2025-12-01T12:00:00.000Z'],
    ['2w', '2026-02-15T12:00:00.000Z'],
    ['2026-01-31', '2026-01-31T00:00:00.000Z'],
    ['2026-01-31T10:00:00+02:00', '2026-01-31T08:00:00.000Z'],
  ])('reads %s', (text, time) => {
    expect(parseAge(text, NOW)).toBe(time);
  });

  it.each([
    '',
    '90',
    'd',
    '-1d',
    '1.5d',
    '90 d',
    '3m',
    'yesterday',
    '2026-13-01',
    '2026-01-31T10:00',
  ])('refuses "%s"', (text) => {
    expect(() => parseAge(text, NOW)).toThrow(
      expect.objectContaining({
        code: 'FILTER_INVALID',
        message: expect.stringContaining(`--newer-than "${text}"`),
      }),
    );
  });
});

describe('tagsTooOld', () => {
  const times: Record<string, string> = {
    jan: '2026-01-01T00:00:00Z',
    feb: '2026-02-01T01:00:00+01:00',
    feb2: '2026-02-01T00:00:00Z',
    mar: '2026-03-01T00:00:00Z',
    broken: 'long ago',
  };
  const tags = ['unknown', 'broken', 'jan', 'feb2', 'feb', 'mar'].map((tag) => ({
    tag,
    digest: digestOf(tag),
  }));
  const created = new Map<Digest, string>(
    Object.entries(times).map(([tag, time]) => [digestOf(tag), time]),
  );
  const kept = (filters: Parameters<typeof tagsTooOld>[2]) => {
    const leftOut = tagsTooOld(tags, created, filters);
    return tags.flatMap(({tag}) => (leftOut.has(tag) ? [] : [tag])).sort();
  };

  it.each([
    [{}, ['broken', 'feb', 'feb2', 'jan', 'mar', 'unknown']],
    [{newest: 1}, ['mar']],
    [{newest: 2}, ['feb', 'mar']],
    [{newest: 5}, ['broken', 'feb', 'feb2', 'jan', 'mar']],
    [{newest: 50}, ['broken', 'feb', 'feb2', 'jan', 'mar', 'unknown']],
    [{newerThan: '2026-01-01T00:00:00Z'}, ['feb', 'feb2', 'mar']],
    [{newerThan: '2026-01-15T00:00:00Z', newest: 1}, ['mar']],
    [{newerThan: '2026-02-15T00:00:00Z', newest: 3}, ['mar']],
  ])('keeps of %j', (filters, expected) => {
    expect(kept(filters)).toEqual(expected);
  });

  it('names the filter and the time', () => {
    const filters = {newerThan: '2026-02-15T00:00:00Z', newest: 1};
    expect(Object.fromEntries(tagsTooOld(tags, created, filters))).toMatchObject({
      jan: 'not newer than 2026-02-15T00:00:00Z: created 2026-01-01T00:00:00.000Z',
      unknown: 'not newer than 2026-02-15T00:00:00Z: the time of creation is not known',
    });
    expect(tagsTooOld(tags, created, {newest: 1}).get('jan')).toBe('not among the newest 1');
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses --newest %d', (newest) => {
    expect(() => tagsTooOld(tags, created, {newest})).toThrow(
      expect.objectContaining({code: 'FILTER_INVALID'}),
    );
  });

  it('refuses a time that is none', () => {
    expect(() => tagsTooOld(tags, created, {newerThan: '90d'})).toThrow(
      expect.objectContaining({code: 'FILTER_INVALID'}),
    );
  });
});
