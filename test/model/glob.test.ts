import {describe, expect, it} from 'vitest';
import {globMatcher} from '../../src/model/glob.ts';

function matches(glob: string, name: string, kind: 'tags' | 'paths' = 'tags'): boolean {
  const matcher = globMatcher(glob, kind);
  if (typeof matcher === 'string') throw new Error(matcher);
  return matcher(name);
}

describe('a glob over tags', () => {
  it.each([
    ['v1.*', ['v1.2', 'v1.'], ['v2', 'xv1.2']],
    ['*', ['a', '.a'], []],
    ['?.?', ['1.2'], ['1.22']],
    ['[!a]*', ['b', '1a'], ['a1']],
    ['[^a]*', ['b'], ['a1']],
    ['[[:digit:]]*', ['1a'], ['a1']],
    ['{1..3}.*', ['1.0', '3.9'], ['4.0']],
    ['@(a|b)', ['a'], ['ab']],
    ['+(ab)c', ['abc', 'ababc'], ['c']],
    ['!(*-rc*)', ['1.0'], ['1.0-rc1']],
    ['*-*-*-*', ['a-b-c-d', '---'], ['a-b-c']],
    ['{v,w}*-*-*.*', ['v1-2-3.4', 'w--.'], ['x1-2-3.4', 'v1-2.3']],
    ['*[ab]*[cd]*[ef]*', ['xaxcxe'], ['xaxexc']],
    ['+(a|b)*(c)*d*e*', ['abcde', 'ade'], ['cde', 'abed']],
  ])('%s', (glob, some, others) => {
    for (const name of some) expect([name, matches(glob, name)]).toEqual([name, true]);
    for (const name of others) expect([name, matches(glob, name)]).toEqual([name, false]);
  });

  it.each(['[1', '{1', '!(*a*b*c*)*d*'])('is not %s', (glob) => {
    expect(globMatcher(glob, 'tags')).toEqual(expect.any(String));
  });
});

describe('a glob over paths', () => {
  it.each([
    ['**/*.yml', ['a.yml', 'a/b/.c.yml'], ['a.yaml', 'a.yml/b']],
    ['a/*', ['a/b'], ['a/b/c', 'b']],
    ['**/a*b*c*d', ['abcd', 'x/axbxcxd'], ['a/bcd', 'x/abdc']],
    ['a/**/b/**/c*d*', ['a/b/cd', 'a/x/b/y/z/cxdx'], ['a/b/c', 'a/cd']],
  ])('%s', (glob, some, others) => {
    for (const name of some) expect([name, matches(glob, name, 'paths')]).toEqual([name, true]);
    for (const name of others) expect([name, matches(glob, name, 'paths')]).toEqual([name, false]);
  });
});

// JavaScript's engine takes hours for each.
it.each([
  '*a*a*a*a*a*a*b',
  '{a*,*a}{a*,*a}{a*,*a}{a*,*a}b',
  '@(a*a*|a*)*a*a*b',
  '*(a|aa)*(a|aa)*(aa|a)b',
])('is settled, whatever name it meets: %s', (glob) => {
  expect(matches(glob, 'a'.repeat(128))).toBe(false);
  expect(matches(glob.replaceAll(/[@(){}|]/g, ''), `x/${'a'.repeat(255)}`, 'paths')).toBe(false);
});
