import {describe, expect, test} from 'vitest';
import {digestOf} from '../../src/model/digest.ts';
import type {CleanupRules} from '../../src/model/delete-wish.ts';
import type {Tag} from '../../src/model/reference.ts';
import {keptByPolicy} from '../../src/plan/cleanup-policy.ts';

const DIGEST = digestOf('x');
const policy = (rules: Partial<CleanupRules>): CleanupRules => ({
  project: 'org/app',
  enabled: true,
  nameRegex: '.*',
  ...rules,
});
const tag = (name: string, time?: number) => ({tag: name as Tag, digest: DIGEST, time});

describe('a cleanup policy', () => {
  const tags = Array.from({length: 1500}, (_, at) => tag(`t${String(at).padStart(4, '0')}`, at));

  // GitLab: gitlab/cleanup_tags_service.rb works page by page, third_party/cleanup_tags_service.rb on all tags.
  test('counts for each page of GitLab with a metadata database', () => {
    const newest = policy({keepN: 1});
    expect([...keptByPolicy(tags, newest, true).keys()]).toEqual(['t0999', 't1499']);
    expect([...keptByPolicy(tags, newest, false).keys()]).toEqual(['t1499']);
  });

  test('takes a tag without a time for the newest', () => {
    const kept = keptByPolicy([tag('a', 1), tag('b'), tag('c', 9)], policy({keepN: 1}), true);
    expect([...kept.keys()]).toEqual(['b']);
  });

  test.each([
    ['(?i)DEV', ['dev']],
    ['[[:alpha:]]+', ['dev']],
    ['\\pL{3}|x', ['dev', 'dev-x']],
    ['dev-(?P<rest>.)', ['dev-x']],
    ['dev-x\\n', []],
  ])('reads %s as RE2', (nameRegex, going) => {
    const all = [tag('dev', 1), tag('dev-x', 1), tag('v1', 1)];
    const kept = keptByPolicy(all, policy({nameRegex}), true);
    expect(all.map((one) => one.tag).filter((one) => !kept.has(one))).toEqual(going);
  });

  test.each(['(?=x)', 'a(', '(a)\\1', '[z-a]', '*'])('refuses %s', (text) => {
    for (const rules of [{nameRegex: text}, {nameRegexKeep: text}, {protects: [text]}])
      expect(() => keptByPolicy([], policy(rules), true)).toThrow(
        expect.objectContaining({code: 'FILTER_INVALID'}),
      );
  });

  test('takes no exponential time', () => {
    const name = `${'a'.repeat(120)}!`;
    expect(keptByPolicy([tag(name, 1)], policy({nameRegex: '(a*)*b'}), true).size).toBe(1);
  });
});
