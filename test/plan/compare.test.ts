import {assert, property, stringMatching, uniqueArray} from 'fast-check';
import {describe, expect, it} from 'vitest';
import {compareNatural, inTagOrder} from '../../src/plan/compare.ts';

function shuffledAndSorted(tags: readonly string[]): readonly string[] {
  return inTagOrder(tags.toReversed(), (tag) => tag);
}

describe('tags are put in the order', () => {
  it.each<[string, readonly string[]]>([
    ['of their numbers', ['1.2', '1.9', '1.10', '2.0', '10.0']],
    ['of semver, pre-releases first', ['1.0.0-alpha', '1.0.0-rc.2', '1.0.0-rc.10', '1.0.0']],
    ['of builds after their version', ['1.0.0', '1.0.0_build.9', '1.0.0_build.10', '1.0.1']],
    ['of two, three and four numbers', ['1.35', '1.35.0.1', '1.35.1', 'v1.36', '1.36.2']],
    ['of dates', ['20231231', '20240102', '20240102.2', '2024010203040506070809']],
    ['of versions before names', ['v1.0', 'v2.0', 'build-9', 'build-10', 'latest', 'main']],
  ])('%s', (_what, tags) => {
    expect(shuffledAndSorted(tags)).toEqual(tags);
  });

  it('with those that have no tag behind', () => {
    const items = [{}, {tag: 'latest'}, {tag: '1.0'}];
    expect(inTagOrder(items, ({tag}: {tag?: string}) => tag)).toEqual([
      {tag: '1.0'},
      {tag: 'latest'},
      {},
    ]);
  });

  it('that does not depend on how they came', () => {
    const tag = stringMatching(/^v?[0-9a-c.]{1,4}(?:[-_+.][0-9a-c]{0,2})?$/);
    assert(
      property(uniqueArray(tag), (tags) => {
        expect(shuffledAndSorted(tags)).toEqual(shuffledAndSorted(tags.toSorted()));
      }),
    );
  });
});

it('repositories are ordered by the numbers in their names', () => {
  const names = ['a', 'a/b', 'a-2/x', 'a-10/x', 'a-10/x1', 'b'];
  expect(names.toReversed().toSorted(compareNatural)).toEqual([
    'a',
    'a-2/x',
    'a-10/x',
    'a-10/x1',
    'a/b',
    'b',
  ]);
});
