import {array, assert, property, stringMatching} from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
  movedImagePath,
  whyNotGroupPath,
  whyNotImagePath,
  whyNotImages,
  whyNotProjectPath,
} from '../../src/model/gitlab-naming.ts';

describe('a project can be called', () => {
  test.each(['sample_project', 'a', 'A.b-c_d', '9to5', 'v2'])('%s', (path) => {
    expect(whyNotProjectPath(path)).toBeUndefined();
  });
});

describe('a project cannot be called', () => {
  test.each([
    ['', 'empty'],
    ['_tools', 'letters'],
    ['demo-', 'letters'],
    ['a--b', 'letters'],
    ['a..b', 'letters'],
    ['é', 'letters'],
    ['a/b', 'letters'],
    ['site.git', '.git'],
    ['feed.atom', '.atom'],
    ['wikis', 'reserves'],
    ['a'.repeat(256), 'more than 255'],
  ])('"%s"', (path, why) => {
    expect(whyNotProjectPath(path)).toContain(why);
  });
});

test.each([
  ['new_org/build', 'fine'],
  ['build/api', 'fine'],
  ['wikis/build', 'fine'],
  ['api/build', 'reserves "api"'],
  ['org/wikis', 'reserves "wikis"'],
  [Array.from({length: 21}, () => 'g').join('/'), 'at most 20'],
  ['org//build', 'empty'],
])('the group %s: %s', (path, why) => {
  expect(whyNotGroupPath(path) ?? 'fine').toContain(why);
});

test.each([
  ['Org/Build/App', 'fine'],
  ['org/a--b', 'fine'],
  ['org/_tools/app', '"_tools"'],
  ['org/demo-', '"demo-"'],
  [`org/${'a'.repeat(255)}`, 'more than 255'],
])('the images of %s: %s', (path, why) => {
  expect(whyNotImages(path) ?? 'fine').toContain(why);
});

test.each([
  ['org/app', 'fine'],
  ['org/app/a/b', 'fine'],
  ['org/app/a/b/c', '3 levels'],
  ['org/App', 'lower case'],
  ['org/application', 'not in org/app'],
  ['org/app/_x', 'not a repository name'],
])('the image path %s in Org/App: %s', (path, why) => {
  expect(whyNotImagePath(path, 'Org/App') ?? 'fine').toContain(why);
});

test('a move and the move back give the path again', () => {
  const name = stringMatching(/^[a-z][a-z0-9]{0,5}$/);
  const path = array(name, {minLength: 1, maxLength: 3}).map((parts) => parts.join('/'));
  assert(
    property(path, path, path, (from, to, below) => {
      const moved = movedImagePath(`${from}/${below}`, from.toUpperCase(), to);
      expect(moved).toBe(`${to}/${below}`);
      expect(movedImagePath(moved, to, from)).toBe(`${from}/${below}`);
    }),
  );
});
