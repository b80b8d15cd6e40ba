import {expect, test} from 'vitest';
import {digestOf} from '../../src/model/digest.ts';
import {isTag} from '../../src/model/reference.ts';
import {fallbackTag} from '../../src/observe/listed-referrer.ts';

test.each(['sha256', 'sha512'] as const)(
  'the fallback tag of a %s digest is a tag',
  (algorithm) => {
    const digest = digestOf('subject', algorithm);
    const tag = fallbackTag(digest);
    expect(isTag(tag)).toBe(true);
    expect(tag).toBe(`${algorithm}-${digest.slice(7, 7 + 64)}`);
  },
);
