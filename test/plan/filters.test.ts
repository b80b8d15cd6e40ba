import {describe, expect, it} from 'vitest';
import type {WishFilters} from '../../src/model/plan.ts';
import {attachmentSubject} from '../../src/plan/candidate.ts';
import {selectAllTags, type SelectedTags, tagSelector} from '../../src/plan/filters.ts';

const HEX = 'ab'.repeat(32);
const SIGNATURE = `sha256-${HEX}.sig`;
const NAMES = [
  'latest',
  '1.0.0',
  'v1.2.3',
  '1.3.0-rc.1',
  '2.0.0',
  '1.35',
  '1.0.0_build.7',
  '.hidden',
];

function select(names: readonly string[], filters: WishFilters): SelectedTags {
  return tagSelector(filters)(names);
}

describe('tagSelector', () => {
  it.each<[string, WishFilters, string[]]>([
    ['nothing', {}, ['latest', '1.0.0', 'v1.2.3', '1.3.0-rc.1', '2.0.0', '1.35', '1.0.0_build.7']],
    ['a glob', {tags: ['1.*']}, ['1.0.0', '1.3.0-rc.1', '1.35', '1.0.0_build.7']],
    ['several globs', {tags: ['latest', 'v*']}, ['latest', 'v1.2.3']],
    ['braces', {tags: ['{latest,2.*}']}, ['latest', '2.0.0']],
    ['a class', {tags: ['[v]*']}, ['v1.2.3']],
    ['case', {tags: ['LATEST']}, []],
    ['an exclusion', {excludeTags: ['*rc*', '1.0*', 'latest']}, ['v1.2.3', '2.0.0', '1.35']],
    ['both', {tags: ['1*'], excludeTags: ['*rc*', '*_*']}, ['1.0.0', '1.35']],
    ['a range', {semver: '>=1 <2'}, ['1.0.0', 'v1.2.3', '1.35', '1.0.0_build.7']],
    ['a range with a prerelease', {semver: '>=1.3.0-rc.0 <2'}, ['1.3.0-rc.1', '1.35']],
    ['a range and a glob', {semver: '*', tags: ['v*']}, ['v1.2.3']],
  ])('takes what %s leaves', (_what, filters, expected) => {
    const {selected, notRead} = select(NAMES, filters);
    expect(selected).toEqual(expected);
    expect(notRead).toHaveLength(NAMES.length - expected.length);
  });

  it('says of each tag why it is left out', () => {
    const {notRead} = select(['', 'dev', '1.0.0', 'x', '9.0.0'], {
      excludeTags: ['d*'],
      semver: '^1',
    });
    expect(notRead).toEqual([
      {tag: '', reason: 'invalid-name', detail: expect.any(String)},
      {tag: 'dev', reason: 'filtered', detail: 'excluded by d*'},
      {tag: 'x', reason: 'filtered', detail: 'not a version, and so not in ^1'},
      {tag: '9.0.0', reason: 'filtered', detail: 'not in ^1'},
    ]);
  });

  it('takes one or two numbers for a version, whatever follows them', () => {
    const names = [
      '1',
      '1.35',
      'v1.35',
      '1.35-amd64',
      '1.36_build',
      '2',
      '2.1-arm64',
      '1.2.3.4',
      '1.x',
    ];
    expect(select(names, {semver: '>=1.30 <2'}).selected).toEqual([
      '1.35',
      'v1.35',
      '1.35-amd64',
      '1.36_build',
    ]);
    expect(select(names, {semver: '^2'}).selected).toEqual(['2', '2.1-arm64']);
  });

  it('says where a tag is outside of a range only as a pre-release', () => {
    const {notRead} = select(['1.3.0-rc.1', '3.0.0-rc.1'], {semver: '^1'});
    expect(notRead.map(({detail}) => detail)).toEqual([
      'a pre-release, which ^1 does not name',
      'not in ^1',
    ]);
  });

  it('takes a tag that is listed twice once', () => {
    expect(select(['a', 'b', 'a'], {}).selected).toEqual(['a', 'b']);
  });

  it('leaves signatures to their subjects where there are filters', () => {
    const names = ['1.0', SIGNATURE];
    expect(selectAllTags(names).selected).toEqual(names);
    expect(select(names, {}).selected).toEqual(names);
    for (const filters of [{tags: ['*']}, {newest: 3}, {platforms: ['linux/amd64']}]) {
      const {selected, notRead} = select(names, filters);
      expect(selected).toEqual(['1.0']);
      expect(notRead).toEqual([
        {tag: SIGNATURE, reason: 'filtered', detail: expect.stringContaining('sha256:abab')},
      ]);
    }
    expect(select(names, {tags: []}).selected).toEqual(names);
  });

  it.each<[WishFilters, string]>([
    [{tags: ['']}, '--tag'],
    [{tags: ['!1.*']}, '--tag "!1.*"'],
    [{excludeTags: ['team/app']}, '--exclude-tag "team/app"'],
    [{tags: ['[1']}, '--tag "[1"'],
    [{semver: 'one'}, '--semver "one"'],
    [{semver: ' '}, '--semver'],
  ])('refuses %j, naming the flag', (filters, message) => {
    expect(() => tagSelector(filters)).toThrow(
      expect.objectContaining({code: 'FILTER_INVALID', message: expect.stringContaining(message)}),
    );
  });
});

describe('attachmentSubject', () => {
  it.each([
    [`sha256-${HEX}`, `sha256:${HEX}`],
    [`sha256-${HEX}.sig`, `sha256:${HEX}`],
    [`sha256-${HEX}.att`, `sha256:${HEX}`],
    [`sha256-${HEX}.sbom`, `sha256:${HEX}`],
    [`sha256-${HEX}.vnd.example`, `sha256:${HEX}`],
    [`sha256-${HEX.slice(1)}`, undefined],
    [`sha256-${HEX}0`, undefined],
    [`sha256-${HEX.toUpperCase()}`, undefined],
    [`x-sha256-${HEX}`, undefined],
    [`sha512-${HEX}`, undefined],
    ['latest', undefined],
  ])('reads %s', (tag, subject) => {
    expect(attachmentSubject(tag)).toBe(subject);
  });
});
